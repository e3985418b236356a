"""`task`, against a server that speaks from a script."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from sfp_server.cli import run
from tests.fakes.api import Answer, FakeApi, events, speaking
from tests.golden.compare import golden

ID = "01920000-0000-7000-8000-000000000001"
XML = b"<Package/>"

PENDING = {
    "operationId": ID, "type": "sf", "status": "pending", "priority": "normal", "progress": 0, "message": None,
    "attempt": 0, "cancelling": False, "description": None, "createdBy": "owner",
    "createdAt": "2026-11-23T08:15:00.000Z", "startedAt": None, "finishedAt": None, "error": None,
}  # fmt: skip
ACTIVE = {**PENDING, "status": "active", "progress": 30, "message": "Running sf", "attempt": 1,
          "startedAt": "2026-11-23T08:15:00.250Z"}  # fmt: skip
COMPLETED = {**ACTIVE, "status": "completed", "progress": 100, "finishedAt": "2026-11-23T08:15:07.050Z"}
FAILED = {**COMPLETED, "status": "failed", "error": {"message": "sf ended with exit code 1", "hint": "Read the log."}}
RESULT = {
    "operationId": ID, "type": "sf", "status": "completed", "error": None, "result": {"exitCode": 0},
    "files": [{"name": "deploy/package.xml", "size": len(XML), "sha256": sha256(XML).hexdigest(),
               "contentType": "text/xml", "url": "/sfp/api/files/1"}],
}  # fmt: skip
LOGS = {"items": [
    {"text": "Converting", "stream": "out", "attempt": 1, "at": "2026-11-23T08:15:01.000Z"},
    {"text": "\x1b[31mDone\x1b[0m\x07", "stream": "err", "attempt": 1, "at": "2026-11-23T08:15:02.000Z"},
], "next": None}  # fmt: skip
STREAM = events(
    ("status", {"status": "pending"}), ("status", {"status": "active", "attempt": 1}),
    ("progress", {"progress": 30, "message": "Cloning crm"}), ("log", {"text": "Converting", "stream": "out"}),
    ("status", {"status": "completed", "attempt": 1}),
)  # fmt: skip


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFP_SERVER_TOKEN", "sfp_app_x")


def task(server: FakeApi, *arguments: str) -> int:
    return run(["task", *arguments, "--sfp-server-url", server.url])


def timeless(text: str) -> str:
    return re.sub(r"\d+\.\d s", "0.0 s", text)


TAKEN = Answer({"operationId": ID, "type": "sf"}, 201)


def test_submit_says_the_task_and_what_next(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking(
        {"POST /tasks": Answer({"operationId": ID, "type": "sf"}, 201), f"GET /tasks/{ID}/status": Answer(PENDING)}
    ) as server:
        code = task(server, "submit", "--type", "sf", "--data", '{"a": 1}', "--timeout", "2m", "--attempts", "1")
    assert code == 0
    assert capsys.readouterr().out == f"{ID}  normal  queued    sfp server task logs {ID} -f\n"
    assert server.asked[0].token == "Bearer sfp_app_x"
    assert server.asked[0].body == {
        "type": "sf", "data": {"a": 1}, "priority": "normal", "timeout": 120000, "retryConfig": {"attempts": 1},
    }  # fmt: skip


def watched(end: dict[str, Any], stream: Answer = STREAM) -> dict[str, Any]:
    return {
        "POST /tasks": TAKEN,
        f"GET /tasks/{ID}/status": [Answer(PENDING), Answer(end)],
        f"GET /tasks/{ID}/events": stream,
        f"GET /tasks/{ID}/result": Answer(RESULT),
    }


def test_watch_follows_a_task_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking(watched(COMPLETED)) as server:
        assert task(server, "submit", "--type", "sf", "--watch") == 0
    assert timeless(capsys.readouterr().out).splitlines() == [
        f"{ID}  normal  queued → running in 0.0 s",
        "Cloning crm",
        "Converting",
        f"{ID}  completed in 0.0 s    1 file: deploy/package.xml    sfp server task result {ID}",
    ]


def test_watch_fails_when_the_task_does(capsys: pytest.CaptureFixture[str]) -> None:
    stream = events(
        ("status", {"status": "active"}),
        ("status", {"status": "pending", "attempt": 1, "cause": "lost"}),
        ("status", {"status": "active"}),
        ("status", {"status": "failed"}),
    )
    with speaking(watched(FAILED, stream)) as server:
        assert task(server, "submit", "--type", "sf", "--watch") == 1
    assert timeless(capsys.readouterr().out).splitlines() == [
        f"{ID}  normal  queued → running in 0.0 s",
        "Attempt 1 ended: lost. It is tried again.",
        f"{ID}  failed after 0.0 s",
        "  sf ended with exit code 1",
        "  Read the log.",
    ]


def test_watch_as_json_keeps_standard_output_for_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking(watched(COMPLETED)) as server:
        assert task(server, "submit", "--type", "sf", "--watch", "--json") == 0
    said = capsys.readouterr()
    golden("cli/task.json", said.out)
    assert "Cloning crm" in said.err


@pytest.mark.parametrize(
    ("arguments", "script", "recorded"),
    [
        (["status", ID], {f"GET /tasks/{ID}/status": Answer(COMPLETED)}, "task.json"),
        (["result", ID], {f"GET /tasks/{ID}/result": Answer(RESULT)}, "task-result.json"),
        (["logs", ID], {f"GET /tasks/{ID}/logs": Answer(LOGS)}, "task-logs.json"),
        (["list"], {"GET /tasks?limit=20": Answer({"items": [COMPLETED], "next": "c2"})}, "tasks.json"),
        (["cancel", ID], {f"DELETE /tasks/{ID}": Answer(COMPLETED)}, "task.json"),
    ],
)  # fmt: skip
def test_every_document_is_as_recorded(
    arguments: list[str], script: dict[str, Answer], recorded: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with speaking(script) as server:
        assert task(server, *arguments, "--json") == 0
    golden(f"cli/{recorded}", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("now", "lines"),
    [
        (PENDING, [f"{ID}  sf  normal  queued", f"  sfp server task logs {ID} -f"]),
        (ACTIVE, [f"{ID}  sf  normal  running, attempt 1", "   30 %  Running sf", f"  sfp server task logs {ID} -f"]),
        (COMPLETED, [f"{ID}  sf  normal  completed in 6.8 s", f"  sfp server task result {ID}"]),
        (FAILED, [f"{ID}  sf  normal  failed after 6.8 s", "  sf ended with exit code 1", "  Read the log.",
                  f"  sfp server task logs {ID}"]),
    ],
)  # fmt: skip
def test_status_ends_with_what_to_type_next(
    now: dict[str, Any], lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with speaking({f"GET /tasks/{ID}/status": Answer(now)}) as server:
        assert task(server, "status", ID) == 0
    assert capsys.readouterr().out.splitlines() == lines


def test_logs_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking({f"GET /tasks/{ID}/logs": Answer(LOGS)}) as server:
        assert task(server, "logs", ID) == 0
    assert capsys.readouterr().out == "Converting\nDone\n"


def test_logs_follow_to_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking({f"GET /tasks/{ID}/events": STREAM}) as server:
        assert task(server, "logs", ID, "-f") == 0
    assert capsys.readouterr().out == "Converting\n"


def test_result_shows_its_value_and_files(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking({f"GET /tasks/{ID}/result": Answer(RESULT)}) as server:
        assert task(server, "result", ID) == 0
    assert capsys.readouterr().out.splitlines()[3:] == [
        "FILE                SIZE",
        "deploy/package.xml  10 B",
        f"Bring them here: sfp server task result {ID} --output DIR",
    ]


def test_result_brings_files_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = {f"GET /tasks/{ID}/result": Answer(RESULT), "GET /files/1": Answer(XML)}
    with speaking(script) as server:
        assert task(server, "result", ID, "--output", str(tmp_path), "--json") == 0
    assert (tmp_path / "deploy" / "package.xml").read_bytes() == XML
    assert server.asked[-1].token is None
    golden("cli/task-result.json", capsys.readouterr().out)


def test_list_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking({"GET /tasks?status=active&limit=2": Answer({"items": [ACTIVE, COMPLETED], "next": "c2"})}) as server:
        assert task(server, "list", "--limit", "2", "--status", "active") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ID", "TYPE", "PRIORITY", "STATUS", "CREATED", "TOOK"]
    assert lines[1].endswith("active 30 %  2026-11-23 08:15:00")
    assert lines[2].endswith("completed    2026-11-23 08:15:00  6.8 s")
    assert lines[3] == "More: sfp server task list --cursor c2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["submit", "--type", "sf", "--data", "{"], "--data is not JSON"),
        (["submit", "--type", "sf", "--data", "@/nowhere"], "--data cannot be read from /nowhere: No such file"),
        (["submit", "--type", "sf", "--timeout", "soon"], '--timeout "soon" is not a time'),
        (["logs", ID, "-f", "--json"], "--json prints one document"),
        (["status", ID, "-t", "sfp_app_secret"], "a token on the command line can be read"),
        (["status", ID, "-t", "env:NOT_THERE"], "there is no token: NOT_THERE is not set"),
        (["status", ID, "--tenant", "demo"], "--sfp-server-url and --tenant name two servers"),
    ],
)
def test_what_was_asked_in_a_wrong_way_is_said_and_nothing_is_sent(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with speaking({}) as server:
        assert task(server, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {message}")
    assert "sfp_app_secret" not in error
    assert server.asked == []


def test_data_comes_from_a_file_and_the_token_too(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text('{"echo": "ü"}')
    (tmp_path / "token").write_text("sfp_app_file\n")
    script = {
        "POST /tasks": Answer({"operationId": ID, "type": "ping"}, 201),
        f"GET /tasks/{ID}/status": Answer(PENDING),
    }
    with speaking(script) as server:
        assert (
            task(server, "submit", "--type", "ping", "--data", f"@{tmp_path}/data.json", "-t", f"@{tmp_path}/token")
            == 0
        )
    assert server.asked[0].body["data"] == {"echo": "ü"}
    assert server.asked[0].token == "Bearer sfp_app_file"


def test_a_dry_run_sends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking({}) as server:
        assert task(server, "submit", "--type", "ping", "--dry-run") == 0
        assert task(server, "cancel", ID, "--dry-run") == 0
    assert server.asked == []
    assert capsys.readouterr().err.splitlines() == [
        f'Would send: POST {server.url}/sfp/api/tasks {{"type": "ping", "data": {{}}, "priority": "normal"}}',
        f"Would send: DELETE {server.url}/sfp/api/tasks/{ID}",
    ]


def test_an_address_without_a_token_says_where_one_comes_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SFP_SERVER_TOKEN")
    with speaking({}) as server:
        assert task(server, "status", ID) == 2
    assert "sfp server token create" in capsys.readouterr().err
