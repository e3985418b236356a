"""How dispatcher and launcher speak: one connection, one request, over a unix socket.

The request is one JSON line with `op`: launch, kill, list or ping. `launch` is answered by frames (one byte of kind,
four bytes of length, big-endian, then the payload) until the last, `x`; the others by one JSON line. When the
connection of a launch closes, its sandbox is killed.
"""

import asyncio
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["o", "e", "x"]  # standard output, standard error, exit

LARGEST_DOCUMENT: Final = 4 << 20  # bytes
LONGEST_REQUEST: Final = 2 * LARGEST_DOCUMENT  # a document inside of JSON, escaped
LARGEST_FRAME: Final = 64 * 1024
_HEAD: Final = struct.Struct(">cI")
_TASK: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_OPERATIONS: Final[Mapping[str, Mapping[str, type | tuple[type, ...]]]] = {
    "launch": {"version": str, "task": str, "lease": int, "type": str, "limits": dict, "document": dict},
    "kill": {"task": str, "lease": int, "grace": (int, float)},
    "list": {},
    "ping": {},
}
_LIMITS: Final[Mapping[str, type | tuple[type, ...]]] = {"memory": int, "pids": int, "timeout": (int, float)}


@dataclass(frozen=True)
class Peer:
    """The two directions of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def gone(self) -> bool:
        """Whether nobody can hear us any more."""
        return self.writer.transport.is_closing()

    async def say(self, content: bytes) -> None:
        """Send, no faster than the other side reads."""
        self.writer.write(content)
        await self.writer.drain()


class Malformed(Exception):
    """What came is not what was agreed on."""


@dataclass(frozen=True)
class Frame:
    """One frame of a launch."""

    kind: Kind
    payload: bytes


def encoded(kind: Kind, payload: bytes) -> bytes:
    """A frame as it travels."""
    return _HEAD.pack(kind.encode(), len(payload)) + payload


def line(document: Mapping[str, Any]) -> bytes:
    """A JSON line."""
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame; `IncompleteReadError` where the other side is gone."""
    kind, length = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    if kind not in (b"o", b"e", b"x") or length > LARGEST_FRAME:
        raise Malformed(f"a frame of kind {kind!r} and {length} bytes")
    return Frame(kind.decode(), await reader.readexactly(length))


def request(text: bytes) -> dict[str, Any]:
    """A request, checked field by field: nothing missing, nothing more, nothing of another type."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed("the request is not JSON") from None
    fields = _OPERATIONS.get(found.get("op", "")) if isinstance(found, dict) else None
    if fields is None:
        raise Malformed("the request names no known op")
    _check({name: value for name, value in found.items() if name != "op"}, fields, "the request")
    if "limits" in fields:
        _check(found["limits"], _LIMITS, "limits")
    if "task" in fields and not _TASK.fullmatch(found["task"]):
        raise Malformed("the request names no task")
    return dict(found)


def _check(found: Mapping[str, Any], fields: Mapping[str, Any], what: str) -> None:
    if found.keys() != fields.keys():
        raise Malformed(f"{what} must have {', '.join(fields) or 'nothing more'}")
    for name, wanted in fields.items():
        if not isinstance(found[name], wanted) or isinstance(found[name], bool):
            raise Malformed(f"{what}: {name} is of another type")
        if isinstance(found[name], int | float) and not 0 <= found[name] < 1 << 62:
            raise Malformed(f"{what}: {name} is out of range")
