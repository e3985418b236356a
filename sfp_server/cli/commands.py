"""The table of commands: where each one lives, and its line in the help. A module loads when its command runs."""

from sfp_server.cli.lazy import Entry

COMMANDS: dict[str, Entry] = {}
