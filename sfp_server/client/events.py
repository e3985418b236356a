"""A stream of server-sent events (WHATWG HTML, section 9.2), taken up again where it broke."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sfp_server.client.model import Event

_LONGEST_WAIT: Final = 5.0


@dataclass
class Position:
    """Where a reader stands in a stream: the last event seen, and how patient to be when it breaks.

    `failures` counts connections that brought nothing, one after the other; `wait` is in seconds.
    """

    last: str | None = None
    failures: int = 0
    retry: float = 0.5

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Last-Event-ID": self.last} if self.last is not None else {}

    @property
    def wait(self) -> float:
        return min(self.retry * float(2 ** max(self.failures - 1, 0)), _LONGEST_WAIT)


@dataclass
class _Frame:
    """The fields of the event that is being read. Its id counts once the event is whole."""

    id: str | None
    kind: str = "message"
    data: list[str] = field(default_factory=list)


def decode(chunks: Iterable[bytes], position: Position) -> Iterator[Event]:
    """The events in a body as it arrives. An event counts once its empty line is there; a torn one is dropped."""
    frame = _Frame(position.last)
    for line in _lines(chunks, position):
        if line:
            _take(line, frame, position)
            continue
        position.last = frame.id
        if frame.data:
            yield Event(frame.id or "", frame.kind, _data("\n".join(frame.data)))
        frame = _Frame(position.last)


def _lines(chunks: Iterable[bytes], position: Position) -> Iterator[str]:
    """Lines end with LF or CRLF only: `str.splitlines`, and so httpx, would cut a text at U+2028 as well."""
    rest = b""
    for chunk in chunks:
        position.failures = 0
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.removesuffix(b"\r").decode("utf-8", "replace") for line in lines)


def _take(line: str, frame: _Frame, position: Position) -> None:
    name, _, value = line.partition(":")
    value = value.removeprefix(" ")
    if name == "event":
        frame.kind = value
    elif name == "data":
        frame.data.append(value)
    elif name == "id" and "\0" not in value:
        frame.id = value
    elif name == "retry" and value.isdigit():
        position.retry = int(value) / 1000


def _data(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {"text": text}
    return value if isinstance(value, dict) else {"value": value}
