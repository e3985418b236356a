"""A host on which nothing happens: it says what would."""

from collections.abc import Callable, Iterator

from sfp_server.cmd.base import Cmd
from sfp_server.host.base import Host, Result


class DryHost:
    """Says every command that would run and every file that would be written, and runs none; files are read for real.

    A command's result is success without output, so who decides by what a command finds asks the real host.
    """

    def __init__(self, inner: Host, say: Callable[[str], None]) -> None:
        self.name = inner.name
        self._inner = inner
        self._say = say

    def run(self, command: Cmd) -> Result:
        self._say(_shown(command))
        return Result(0, "", "")

    def stream(self, command: Cmd) -> Iterator[str]:
        self._say(_shown(command))
        return iter(())

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        self._say(f"write {path}  ({self._change(path, content, mode)})")

    def get(self, path: str) -> bytes | None:
        return self._inner.get(path)

    def _change(self, path: str, content: bytes, mode: int) -> str:
        """In a few words; of a private file not even its length."""
        private = mode & 0o077 == 0
        if private:
            return f"{mode:04o}, private"
        return f"{mode:04o}, {len(content)} bytes{', as it is' if self._inner.get(path) == content else ''}"


def _shown(command: Cmd) -> str:
    where = f"cd {command.cwd} && " if command.cwd else ""
    given = " < (standard input)" if command.stdin is not None else ""
    return f"run   {where}{command.line()}{given}"
