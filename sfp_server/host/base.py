"""The seam between deciding and doing: four verbs, and every host passes one contract suite."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from sfp_server.cmd.base import Cmd
from sfp_server.errors import RemoteError


@dataclass(frozen=True)
class Result:
    """How a command ended. `code` is its exit status, minus the signal's number where one ended it."""

    code: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.code == 0


class Host(Protocol):
    """Somewhere commands run and files lie. Paths are absolute, in the host's own notation."""

    name: str

    def run(self, command: Cmd) -> Result:
        """Run to the end and collect both streams. A command that fails is a result, not an exception;
        one that cannot be started, or overruns its timeout, is a `RemoteError`."""
        ...

    def stream(self, command: Cmd) -> Iterator[str]:
        """Yield the lines of both streams as they come; a `RemoteError` at the end where the command failed.
        Closing the iterator ends the command."""
        ...

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file whole or not at all; its mode is set before its content. Folders above are made (0755,
        or 0700 where the mode is private)."""
        ...

    def get(self, path: str) -> bytes | None:
        """The content of a file, or nothing where there is none."""
        ...


def must(host: Host, command: Cmd, hint: str = "") -> Result:
    """Run a command that has to succeed; its last words stand in the error."""
    result = host.run(command)
    if not result.ok:
        raise RemoteError(f"{command.argv[0]} failed ({result.code}) on {host.name}: {_last_words(result)}", hint)
    return result


def _last_words(result: Result) -> str:
    lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
