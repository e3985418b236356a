"""A server that speaks the API from a script: which request gets which answer."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """A status and a body: bytes as they are, anything else as JSON."""

    body: Any = None
    status: int = 200
    kind: str = "application/json"

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Asked:
    """A request that came in."""

    line: str
    token: str | None
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True)
class FakeApi:
    """Its address, and what it was asked so far."""

    url: str
    asked: list[Asked] = field(default_factory=list)

    @property
    def lines(self) -> Sequence[str]:
        return [asked.line for asked in self.asked]


@contextmanager
def speaking(script: Mapping[str, Answer | Sequence[Answer]]) -> Iterator[FakeApi]:
    """Answers `GET /tasks?limit=20` by the script; of several answers each comes once, the last one stays."""
    remaining = {line: [answer] if isinstance(answer, Answer) else list(answer) for line, answer in script.items()}
    asked: list[Asked] = []

    class Speaker(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            line = f"{self.command} {self.path.removeprefix('/sfp/api')}"
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.loads(content) if content else None
            asked.append(Asked(line, self.headers.get("Authorization"), body, dict(self.headers)))
            answers = remaining.get(line) or [Answer({"title": "Not Found", "detail": f"no answer to {line}"}, 404)]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Speaker)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield FakeApi(f"http://127.0.0.1:{server.server_port}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def events(*entries: tuple[str, Mapping[str, Any]]) -> Answer:
    """A stream of events, numbered from 1, and its end."""
    frames = (
        f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n" for number, (kind, data) in enumerate(entries, 1)
    )
    return Answer("".join([*frames, "event: end\ndata: {}\n\n"]).encode(), kind="text/event-stream")
