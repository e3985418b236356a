"""`demo`, for real on the embedded engine, without the Salesforce CLI: an instance, a task, nothing the second time."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sfp_server.cli import run


def sfp(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command as a person runs it, on a machine that has no Salesforce CLI."""
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if not (Path(part) / "sf").exists())
    program = "import sys; from sfp_server.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "SFP_SERVER_HOME": str(base), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    """Where the instance lies; at the end it is stopped and removed."""
    made = sfp(tmp_path, "init", "--tenant", "demo", "--engine", "embedded", "--no-interactive")
    assert made.returncode == 0, made.stderr
    assert sfp(tmp_path, "config", "set", "toolchain", "off").returncode == 0
    yield tmp_path
    sfp(tmp_path, "destroy", "--tenant", "demo", "--yes")


def test_it_ends_with_a_task_done_and_what_to_do_next(base: Path) -> None:
    first = sfp(base, "demo")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "a task of type ping runs in its place" in first.stdout
    id = json.loads((base / "tenants" / "demo" / "demo.json").read_text())["task"]
    assert f"{id}  completed in" in first.stdout
    assert "demo  running" in first.stdout
    assert f"sfp server task result {id}" in first.stdout
    assert "sfp_app_" not in first.stdout + first.stderr

    again = sfp(base, "demo")
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"{id}  the task of an earlier demo, completed. Nothing was changed." in again.stdout
    listed = json.loads(sfp(base, "task", "list", "--json").stdout)
    assert [task["operationId"] for task in listed["items"]] == [id]


def test_another_engine_is_said_to_come_later(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--engine", "compose"]) == 2
    assert capsys.readouterr().err.startswith('Error: the engine "compose" cannot run the demo yet.')


def test_a_dry_run_shows_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--dry-run", "--base-dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == f"sfp server start --tenant demo --base-dir {tmp_path}"
    assert list(tmp_path.iterdir()) == []
