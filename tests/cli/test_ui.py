"""How commands speak: lines, tables, documents, questions, progress with and without a terminal."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from sfp_server.cli import ui
from sfp_server.errors import UsageError
from tests.waiting import eventually

STEPS = """
from sfp_server.cli import ui
steps = ui.reporter()
steps.begin("migrate")
steps.done("migrate", "23 migrations", 0.61)
steps.begin("switch")
steps.note("api | [bold]settings[/bold]")
steps.failed("switch", "api did not become healthy in 60 s")
"""


def on_a_terminal(program: str, **environ: str) -> str:
    """What a program writes to a terminal."""
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", **environ},
    )
    os.close(follower)
    written = b""
    try:
        while block := os.read(leader, 4096):
            written += block
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(leader)
    assert child.wait(30) == 0
    return written.decode()


def test_a_table_has_columns_as_wide_as_what_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    ui.table([("caddy", "running", None), ("critical-worker", 2, "x")], ["SERVICE", "STATE", "UP"])
    assert capsys.readouterr().out.splitlines() == [
        "SERVICE          STATE    UP",
        "caddy            running",
        "critical-worker  2        x",
    ]


def test_a_document_has_schema_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    ui.document("tasks", {"items": ["ä"], "next": None})
    assert capsys.readouterr().out == (
        '{\n  "schema": "sfp.tasks/1",\n  "items": [\n    "ä"\n  ],\n  "next": null\n}\n'
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.61, "0.6 s"), (21.34, "21.3 s"), (59.99, "1 min 0 s"), (125, "2 min 5 s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert ui.duration(seconds) == text


def test_without_a_terminal_a_question_is_an_error_and_yes_is_an_answer() -> None:
    ui.confirm("Destroy acme?", yes=True)
    with pytest.raises(UsageError, match=r"Destroy acme\? Nobody can be asked here") as caught:
        ui.confirm("Destroy acme?", yes=False)
    assert caught.value.hint == "Add --yes to go on."


def test_without_a_terminal_steps_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    exec(STEPS)
    assert capsys.readouterr().out.splitlines() == [
        "  ✓ migrate    23 migrations                                                 0.6 s",
        "      api | [bold]settings[/bold]",
        "  ✗ switch     api did not become healthy in 60 s",
    ]


def test_with_json_steps_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    steps = ui.reporter(json=True)
    steps.done("check", "24 checks passed", 1.9)
    assert capsys.readouterr().out == ""


def test_a_step_over_a_second_says_that_it_runs() -> None:
    stream = io.StringIO()
    steps = ui._Plain(stream)
    steps.begin("toolchain")
    eventually(lambda: stream.getvalue() == "  … toolchain\n", timeout=10)
    steps.done("toolchain", "Node 22", 1.2)


def test_on_a_terminal_the_running_step_moves_and_leaves_one_line() -> None:
    written = on_a_terminal(STEPS)
    assert "\x1b[32m✓\x1b[0m migrate    23 migrations" in written
    assert "api | [bold]settings[/bold]" in written
    assert written.rstrip().endswith("api did not become healthy in 60 s")
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h")  # the cursor is back


def test_no_color_is_honoured() -> None:
    written = on_a_terminal(STEPS, NO_COLOR="1")
    assert "✓ migrate" in written
    assert "\x1b[3" not in written


def test_a_dumb_terminal_gets_plain_lines() -> None:
    assert "\x1b" not in on_a_terminal(STEPS, TERM="dumb")


def test_whatever_ends_the_program_the_cursor_comes_back() -> None:
    written = on_a_terminal("from sfp_server.cli import ui\nui.reporter().begin('migrate')")
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1


def test_a_path_is_shown_from_home() -> None:
    assert ui.place(Path.home() / "x/y") == "~/x/y"
    assert ui.place(Path("/srv/x")) == "/srv/x"


def test_rich_is_not_loaded_without_a_terminal() -> None:
    program = f"{STEPS}\nimport sys; assert not [name for name in sys.modules if name.startswith('rich')]"
    subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=True)
