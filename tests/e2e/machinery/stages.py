"""How long each stage took, said when it ends and once more at the end of a run."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stages:
    """The stages of one run, in their order, with their seconds."""

    done: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside; also where it fails."""
        began = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - began
            self.done.append((name, took))
            print(f"== {name} took {took:.1f} s", file=sys.stderr, flush=True)
