"""What a sandbox says (see `inside`), understood and distrusted: whatever is in there, only these messages come out."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_LONGEST_LINE: Final = 9 << 20  # a result of 8 MiB, and what goes around it
_LONGEST_NAME: Final = 800  # bytes: it becomes a part of a key of 1024
_LONGEST_SEGMENT: Final = 200  # bytes
_CONTENT_TYPE: Final = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}")
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")  # what PostgreSQL's jsonb refuses


class Unreadable(Exception):
    """What the sandbox said is not what was agreed on."""


@dataclass(frozen=True)
class Said:
    """A line of the log."""

    text: str
    stream: str


@dataclass(frozen=True)
class Progressed:
    """How far it is, 0 to 100."""

    percent: int
    message: str


@dataclass(frozen=True)
class FileBegan:
    """An output follows: as many bytes as `size`, then `FileEnded`."""

    name: str
    size: int
    content_type: str


@dataclass(frozen=True)
class FileBytes:
    """A piece of the output that began last."""

    content: bytes


@dataclass(frozen=True)
class FileEnded:
    """The output is whole."""


@dataclass(frozen=True)
class Result:
    """It is done."""

    value: Any


@dataclass(frozen=True)
class Failure:
    """It failed; `error` has message and, where there is more to say, hint and exitCode."""

    error: dict[str, Any]
    retry: bool


Message = Said | Progressed | FileBegan | FileBytes | FileEnded | Result | Failure


class Messages:
    """Takes what comes in pieces of any size, and yields the messages in it."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # bytes of the buffer in which there is no end of a line
        self._left = 0  # bytes of a file that are still to come

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The messages that this piece completes. `Unreadable` where it makes no sense."""
        self._buffer += chunk
        while self._buffer:
            if self._left:
                yield from self._file_bytes()
            elif (line := self._line()) is not None:
                yield from self._message(line)
            else:
                return

    def _file_bytes(self) -> Iterator[Message]:
        content = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        self._left -= len(content)
        yield FileBytes(content)
        if not self._left:
            yield FileEnded()

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            if self._searched > _LONGEST_LINE:
                raise Unreadable("a line has no end")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line

    def _message(self, line: bytes) -> Iterator[Message]:
        message = _understood(_parsed(line))
        yield message
        if isinstance(message, FileBegan):
            self._left = message.size
            if not self._left:
                yield FileEnded()


def storable(value: Any) -> Any:
    """The same without what a database cannot keep: NUL and half characters in texts."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, list):
        return [storable(item) for item in value]
    return {storable(name): storable(item) for name, item in value.items()} if isinstance(value, dict) else value


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        found = storable(json.loads(line, parse_constant=lambda _: None, parse_float=_finite))
    except (ValueError, RecursionError):
        raise Unreadable(f"not JSON: {line[:80]!r}") from None
    if not isinstance(found, dict):
        raise Unreadable(f"not an object: {line[:80]!r}")
    return found


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _understood(found: dict[str, Any]) -> Message:
    if isinstance(found.get("log"), str):
        return Said(found["log"], "err" if found.get("stream") == "err" else "out")
    if isinstance(found.get("progress"), int):
        return Progressed(max(0, min(100, found["progress"])), str(found.get("message", ""))[:1000])
    if isinstance(found.get("file"), str):
        return _file(found)
    if "result" in found:
        return Result(found["result"])
    if isinstance(found.get("error"), dict):
        return _failure(found["error"])
    raise Unreadable(f"no known message: {', '.join(found)[:80]}")


def _file(found: dict[str, Any]) -> FileBegan:
    name, size, kind = found["file"], found.get("size"), str(found.get("contentType", ""))
    if not isinstance(size, int) or size < 0 or not _is_name(name):
        raise Unreadable(f"no file that could be kept: {name[:80]!r}")
    return FileBegan(name, size, kind if _CONTENT_TYPE.fullmatch(kind) else "application/octet-stream")


def _is_name(name: str) -> bool:
    """A relative path without tricks, for it becomes part of a key of the store."""
    parts = name.split("/")
    short = len(name.encode()) <= _LONGEST_NAME and all(len(part.encode()) <= _LONGEST_SEGMENT for part in parts)
    return short and name.isprintable() and "\\" not in name and not {"", ".", ".."}.intersection(parts)


def _failure(found: dict[str, Any]) -> Failure:
    error: dict[str, Any] = {"message": str(found.get("message") or "the task failed")[:4000]}
    if found.get("hint"):
        error["hint"] = str(found["hint"])[:1000]
    if isinstance(found.get("exitCode"), int):
        error["exitCode"] = found["exitCode"]
    return Failure(error, found.get("retry") is True)
