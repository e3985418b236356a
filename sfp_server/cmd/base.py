"""What would be typed: a command as data, quoted once at the edge, with secrets that print as their redaction."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

REDACTED = "••••"


class Secret:
    """A text that only `reveal()` shows; printed, logged or formatted it is its redaction."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({REDACTED})"

    def __str__(self) -> str:
        return REDACTED

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True)
class Cmd:
    """One command: an argument list, never a shell line.

    `env` is added to the host's own; secrets travel by `stdin` or by files, for arguments and environments can be read
    by others. `timeout` is in seconds; none means that the command may take what it takes.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    stdin: Secret | str | None = None
    cwd: str | None = None
    timeout: float | None = None

    def line(self) -> str:
        """The command as a person would type it."""
        assignments = [f"{name}={shlex.quote(value)}" for name, value in self.env.items()]
        return " ".join([*assignments, shlex.join(self.argv)])


def cmd(*argv: object, timeout: float | None = None, stdin: Secret | str | None = None) -> Cmd:
    """A command from its arguments; paths and numbers become text."""
    return Cmd(tuple(str(part) for part in argv), timeout=timeout, stdin=stdin)
