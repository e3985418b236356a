"""Streams of events: how they are read, and how they are taken up again over a real connection."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sfp_server.client import Api, ApiError, Event, Unreachable
from sfp_server.client.events import Position, decode


class Patient:
    """A clock on which waiting takes no time, and is written down."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return sum(self.waits)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


ID = "01920000-0000-7000-8000-000000000001"


def frame(id: int, kind: str, **data: object) -> bytes:
    return f"id: {id}\nevent: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


@contextmanager
def serving(*answers: int | bytes) -> Iterator[tuple[str, Sequence[str | None]]]:
    """A server that gives these answers in turn, each on a connection of its own: a status, or a body that ends there.
    Yields its address and the `Last-Event-ID`s that it saw."""
    remaining, seen = list(answers), list[str | None]()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Last-Event-ID"))
            answer = remaining.pop(0) if remaining else b""
            self.send_response(answer if isinstance(answer, int) else 200)
            self.end_headers()
            self.wfile.write(b"{}" if isinstance(answer, int) else answer)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def follow(url: str, clock: Patient) -> list[Event]:
    with Api(url, clock=clock) as api:
        return list(api.follow(ID))


def test_a_broken_stream_goes_on_after_the_last_whole_event() -> None:
    torn = frame(2, "log", text="two") + b"id: 3\nevent: log\ndata: {"
    answers = (
        frame(1, "status", status="active"),
        torn,
        503,
        frame(3, "log", text="three"),
        frame(4, "status", status="completed") + b'event: end\ndata: {"status": "completed"}\n\n',
    )
    clock = Patient()
    with serving(*answers) as (url, seen):
        events = follow(url, clock)
    assert [event.id for event in events] == ["1", "2", "3", "4", "4"]
    assert events[-1].last
    assert seen == [None, "1", "2", "2", "3"]
    assert clock.waits == [0.5, 0.5, 1.0, 0.5]


def test_a_stream_that_brings_nothing_is_given_up() -> None:
    clock = Patient()
    with serving() as (url, seen), pytest.raises(Unreachable, match="keeps closing"):
        follow(url, clock)
    assert len(seen) == 31
    assert max(clock.waits) == 5.0


def test_a_refusal_is_not_repeated() -> None:
    with serving(404) as (url, seen), pytest.raises(ApiError):
        follow(url, Patient())
    assert len(seen) == 1


def test_a_server_that_went_away_is_waited_for_then_named() -> None:
    clock = Patient()
    with pytest.raises(Unreachable, match="nothing listens"):
        follow("http://127.0.0.1:9", clock)
    assert len(clock.waits) == 30


def test_the_fields_of_an_event_may_arrive_in_any_pieces() -> None:
    body = b": hello\r\nretry: 2000\r\n\r\n" + frame(7, "log", text="a\u2028b") + b"data: plain\ndata: words\n\n"
    position = Position()
    events = list(decode((body[n : n + 1] for n in range(len(body))), position))
    assert events == [Event("7", "log", {"text": "a\u2028b"}), Event("7", "message", {"text": "plain\nwords"})]
    assert position.retry == 2.0
