"""Health over HTTP, from servers that are well, not so well, and not there."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sfp_server.cli import run

Out = pytest.CaptureFixture[str]
Serve = Callable[[int, Any], str]

WELL = {
    "status": "healthy",
    "version": "0.1.0",
    "versions": {"release": "0.1.0", "configuration": 1, "schema": 2},
    "checks": [{"name": "database", "status": "ok", "ms": 1}, {"name": "redis", "status": "ok", "ms": 2}],
    "queue": [{"workerClass": "normal", "pending": 2, "active": 3, "slots": 4, "oldestSeconds": 4.2}],
}


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server that gives one answer to every question."""
    with ExitStack() as stack:

        def begin(status: int, answer: Any) -> str:
            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), _answering(status, answer)))
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_address[1]}"

        yield begin


def _answering(status: int, answer: Any) -> type[BaseHTTPRequestHandler]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answer).encode() if self.path == "/sfp/api/health" else b"{}"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    return Answer


def test_one_that_is_well(serve: Serve, capsys: Out) -> None:
    url = serve(200, WELL)
    assert run(["health", "--sfp-server-url", url]) == 0
    assert capsys.readouterr().out == f"healthy  0.1.0  {url}\n"


def test_in_detail(serve: Serve, capsys: Out) -> None:
    run(["health", "--detailed", "--sfp-server-url", serve(200, WELL)])
    assert capsys.readouterr().out.splitlines()[1:] == [
        "PART      ANSWER  AFTER",
        "database  ok      1 ms",
        "redis     ok      2 ms",
        "QUEUE   WAITING  RUNNING  AT ONCE",
        "normal  2        3        4",
        "Versions: release 0.1.0, configuration 1, schema 2",
    ]


@pytest.mark.parametrize(("word", "code"), [("degraded", 200), ("unhealthy", 503)])
def test_one_that_is_not_well_is_found_by_the_exit_code(serve: Serve, capsys: Out, word: str, code: int) -> None:
    url = serve(code, {**WELL, "status": word, "checks": [{"name": "redis", "status": "failed", "ms": 2000}]})
    assert run(["health", "--sfp-server-url", url]) == 3
    assert capsys.readouterr().out.splitlines() == [f"{word}  0.1.0  {url}", "redis does not answer."]


def test_as_a_document(serve: Serve, capsys: Out) -> None:
    url = serve(200, WELL)
    run(["health", "--json", "--sfp-server-url", url])
    document = json.loads(capsys.readouterr().out)
    assert document.pop("schema").startswith("sfp.health")
    assert document == {**WELL, "url": url}


def test_one_that_is_not_there_is_unknown(capsys: Out) -> None:
    assert run(["health", "--sfp-server-url", "http://127.0.0.1:1"]) == 3
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "unknown  http://127.0.0.1:1"
    assert out[-1] == "Does it run? sfp server status"


def test_something_else_that_answers_there_is_unknown(serve: Serve, capsys: Out) -> None:
    assert run(["health", "--sfp-server-url", serve(200, {"hello": "world"})]) == 3
    assert capsys.readouterr().out.startswith("unknown  ")
