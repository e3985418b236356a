"""Commands that load when they run: a group knows its commands by a table of names."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer


class Entry(NamedTuple):
    """One command: the module that holds its `app` (a `typer.Typer`), and its line in the help of the group.

    `alias` marks a second name for a command of the table; it works, and stays out of the help.
    """

    module: str
    help: str
    alias: bool = False


def group_of(table: Mapping[str, Entry]) -> type[typer.core.TyperGroup]:
    """A group class whose commands are those of the table."""

    class LazyGroup(typer.core.TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return list(table)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            return _load(cmd_name, table[cmd_name]) if cmd_name in table else None

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            self.commands = {name: typer.core.TyperCommand(name) for name in table}  # names, for "did you mean"
            return super().resolve_command(ctx, args)

        def format_commands(self, ctx: Any, formatter: Any) -> None:
            rows = [(name, entry.help) for name, entry in table.items() if not entry.alias]
            if rows:
                with formatter.section("Commands"):
                    formatter.write_dl(rows)

    return LazyGroup


def _load(name: str, entry: Entry) -> Any:
    command = typer.main.get_command(import_module(entry.module).app)
    command.name = name
    return command
