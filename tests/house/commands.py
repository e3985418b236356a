"""The command line as a tree: every command with its path and its help, as a person sees it."""

import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from typing import Any, NamedTuple

from sfp_server import cli


class Command(NamedTuple):
    """`path` is how it is typed after `sfp-server`; `line` is its line in the help of its group."""

    path: tuple[str, ...]
    line: str
    help: str


def every() -> Iterator[Command]:
    """All commands in the order of the help, groups before what is in them; aliases are left out."""
    for name, entry in cli.COMMANDS.items():
        if not entry.alias:
            yield from _under((name,), entry.help, cli._root().get_command(None, name))


def _under(path: tuple[str, ...], line: str, command: Any) -> Iterator[Command]:
    yield Command(path, line, help_of(path))
    for name, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield from _under((*path, name), inner.get_short_help_str(200), inner)


def help_of(path: tuple[str, ...]) -> str:
    """What `--help` prints, 100 columns wide."""
    said = StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with redirect_stdout(said):
            assert cli.run([*path, "--help"]) == 0, f"no help for {path}"
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
    return said.getvalue().strip()
