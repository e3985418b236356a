"""Every command: its line in the table is that of its help, and asking for help costs nothing."""

import json
import subprocess
import sys

import pytest

from sfp_server.cli.commands import COMMANDS
from tests.house import commands

HEAVY = [
    "asyncpg", "azure", "boto3", "cryptography", "hcloud", "httpx", "jinja2", "litestar", "msgspec", "paramiko",
    "pydantic", "python_on_whales", "redis", "rich", "yaml",
]  # fmt: skip
EVERY = list(commands.every())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_help_says(name: str) -> None:
    said = [line.strip() for line in commands.help_of((name,)).splitlines()]
    assert COMMANDS[name].help in " ".join(said[2:6])
    assert len(COMMANDS[name].help) < 60


@pytest.mark.parametrize("command", EVERY, ids=lambda command: " ".join(command.path))
def test_every_command_and_option_has_its_words(command: commands.Command) -> None:
    assert command.line
    assert command.line.endswith(".")
    bare = [line for line in command.help.splitlines() if line.strip().startswith("--") and len(line.split()) < 3]
    assert [line for line in bare if not _continued(line, command.help)] == []


def _continued(line: str, help: str) -> bool:
    """An option too long for its column has its words on the next line."""
    lines = help.splitlines()
    following = lines[lines.index(line) + 1 : lines.index(line) + 2]
    return bool(following) and following[0].startswith(" " * 20)


def test_help_of_everything_loads_nothing_heavy() -> None:
    program = (
        "import json, sys\nfrom sfp_server.cli import run\n"
        "for path in json.loads(sys.argv[1]): assert run([*path, '--help']) == 0\n"
        f"print(sorted(set(sys.modules) & set({HEAVY})))"
    )
    paths = json.dumps([[], *(command.path for command in EVERY)])
    ran = subprocess.run([sys.executable, "-c", program, paths], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
