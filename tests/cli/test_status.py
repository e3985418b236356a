"""Status of running services, as a table and as a document, and log lines as entries."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sfp_server.cli.logs import entry, readable
from sfp_server.cli.status import ago, show
from sfp_server.ops import lifecycle
from tests.fakes.toy_site import site

Out = pytest.CaptureFixture[str]


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    lifecycle.start(site(tmp_path))
    yield tmp_path
    lifecycle.destroy(site(tmp_path))


def test_a_running_instance_as_a_table(base: Path, capsys: Out) -> None:
    show(site(base), stats=True)
    assert capsys.readouterr().out.splitlines() == [
        "demo  running  1.0.0  http://127.0.0.1:1  toy  up 3 s",
        "SERVICE          STATE    HEALTH   RUNS     UP   CPU  MEMORY",
        *(
            f"{name:<15}  running  healthy  sleep 1  3 s  1 %  0 MB"
            for name in ("postgres", "redis", "api", "launcher", "critical-worker", "normal-worker", "batch-worker")
        ),
    ]


def test_a_running_instance_as_a_document(base: Path, capsys: Out) -> None:
    show(site(base), json=True)
    document = json.loads(capsys.readouterr().out)
    services = document.pop("services")
    assert document.pop("schema").startswith("sfp.status")
    assert document == {
        "tenant": "demo", "status": "running", "url": "http://127.0.0.1:1", "engine": "toy", "version": "1.0.0",
        "schemaVersion": 1,
    }  # fmt: skip
    assert services[0] == {
        "name": "postgres", "state": "running", "health": "healthy", "image": "sleep 1", "replicas": 1, "uptime": 3,
    }  # fmt: skip


def test_what_is_missing_is_named_with_what_to_do(base: Path, capsys: Out) -> None:
    here = site(base)
    here.engine.down(str(here.instance.current), ["api"])
    show(here)
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("demo  partial  ")
    assert out[-1] == "Bring it back: sfp server start    What it said: sfp server logs -s api"


def test_what_cannot_be_told_is_unknown(base: Path, capsys: Out) -> None:
    here = site(base)
    text = here.instance.journal.read_text()
    here.instance.journal.write_text("not json\n")
    show(here, json=True)
    here.instance.journal.write_text(text)
    document = json.loads(capsys.readouterr().out)
    assert (document["status"], document["services"]) == ("unknown", [])
    assert document["detail"].endswith("line 1 is not a line of a journal.")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (7200, "2 h"), (86400 * 12, "12 d")],
)
def test_how_long_ago(seconds: float, text: str) -> None:
    assert ago(seconds) == text


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (
            "redis | 2026-11-23T08:15:00.123Z ready",
            {"service": "redis", "at": "2026-11-23T08:15:00.123Z", "message": "ready"},
        ),
        ("redis | no time", {"service": "redis", "message": "no time"}),
        (
            'api | 2026-11-23T08:15:00.123Z {"level": "info", "message": "a | b"}',
            {"service": "api", "at": "2026-11-23T08:15:00.123Z", "level": "info", "message": "a | b"},
        ),
        ("api | 2026-11-23T08:15:00.123Z 42", {"service": "api", "at": "2026-11-23T08:15:00.123Z", "message": "42"}),
        ("api | ", {"service": "api", "message": ""}),
    ],
)  # fmt: skip
def test_a_log_line_by_its_parts(line: str, parts: dict[str, str]) -> None:
    assert entry(line) == parts


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            'api | 2026-11-23T08:15:00.123Z {"at": "2026-11-23T08:15:00.120Z", "level": "info", "logger": "x",'
            ' "message": "request", "path": "/ping", "ms": 0, "user": null}',
            "api | 2026-11-23T08:15:00.120Z info    request path=/ping ms=0",
        ),
        ("redis | 2026-11-23T08:15:00.123Z * ready {}", "redis | 2026-11-23T08:15:00.123Z * ready {}"),
        ('api | 2026-11-23T08:15:00.123Z {"x": 1}', 'api | 2026-11-23T08:15:00.123Z {"x": 1}'),
    ],
)
def test_a_log_line_as_a_person_reads_it(line: str, shown: str) -> None:
    assert readable(line) == shown
