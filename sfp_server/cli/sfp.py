"""The script `sfp`: `sfp server …` is ours, anything else goes to the next `sfp` on PATH."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sfp_server.errors import UsageError


def main() -> None:
    """Run `sfp server …` here; hand the rest on, with the same arguments and streams."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["server"]:
        from sfp_server.cli import run

        sys.exit(run(arguments[1:], program="sfp server"))
    _hand_on(arguments)


def _hand_on(arguments: Sequence[str]) -> None:
    following = next(_programs(os.environ.get("PATH", ""), Path(sys.argv[0])), None)
    if following is None:
        error = UsageError(
            "this sfp knows only `sfp server`.", "Other sfp commands: npm install --global @flxbl-io/sfp"
        )
        sys.stderr.write(f"Error: {error.message}\n{error.hint}\n")
        sys.exit(error.exit_code)
    os.execv(following, ["sfp", *arguments])  # noqa: S606  # replaces this process


def _programs(path: str, own: Path) -> Iterator[Path]:
    """Every other `sfp` on PATH, in order."""
    for folder in path.split(os.pathsep):
        program = Path(folder) / "sfp"
        if os.access(program, os.X_OK) and not (own.exists() and program.samefile(own)):
            yield program
