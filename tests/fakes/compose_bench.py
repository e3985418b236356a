"""The Compose engine and instances to try it on, with toy services."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sfp_server.engine.compose import ComposeEngine
from sfp_server.host.local import LocalHost
from tests.e2e.machinery.docker import PREFIX, exists
from tests.fakes import toy_compose
from tests.fakes.toy_images import Toys


class ComposeBench:
    """Bundles are fetched as they are written, as a start does it. `prefix` keeps this run's projects apart."""

    def __init__(self, base: Path, toys: Toys) -> None:
        self.engine = ComposeEngine(LocalHost())
        self._base = base
        self._toys = toys
        self._prefix = f"{PREFIX}i-{secrets.token_hex(3)}"
        self._written: list[str] = []
        self._last: dict[str, str] = {}

    def bundle(
        self, services: Sequence[dict[str, Any]], *, instance: str = "one", env: Mapping[str, str] | None = None
    ) -> str:
        folder = self._base / instance / "releases" / str(len(self._written))
        names = {"project": self.project(instance), "image": self._toys.one}
        toy_compose.write(folder, services, **names, shared=self.files(instance), env=env)
        self._written.append(str(folder))
        self._last[instance] = str(folder)
        for _ in self.engine.fetch(str(folder)):
            pass
        return str(folder)

    def project(self, instance: str = "one") -> str:
        return f"{self._prefix}-{instance}"

    def files(self, instance: str = "one") -> Path:
        return self._base / instance / "run"

    def put_data(self, bundle: str) -> None:
        assert self.has_data(bundle)

    def has_data(self, bundle: str) -> bool:
        return exists("volume", f"{self.project(Path(bundle).parents[1].name)}_data")

    def image(self, name: str) -> str:
        return self._toys.one

    def close(self) -> None:
        for bundle in self._last.values():
            self.engine.down(bundle, timeout=0)
            self.engine.remove(bundle)
