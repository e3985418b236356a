"""The command line's edge: help, version, and errors as one line and a hint."""

import subprocess
import sys

import pytest

from sfp_server import __version__
from sfp_server.cli import run

HEAVY = {
    "paramiko", "boto3", "azure", "hcloud", "httpx", "jinja2", "pydantic", "yaml", "rich", "python_on_whales",
    "asyncpg", "litestar",
}  # fmt: skip


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"sfp-server {__version__}\n"


def test_an_unknown_command_is_wrong_usage_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fly"]) == 2
    assert capsys.readouterr().err.splitlines() == ["Error: No such command 'fly'.", "Try: sfp-server --help"]


def test_help_loads_no_heavy_library() -> None:
    program = f"import sys; from sfp_server.cli import run; run(['--help']); print(set(sys.modules) & {HEAVY})"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "set()"
