"""What has happened to an instance: append-only JSON lines, one fsync a line.

A line holds its version, the operation's id and kind, the step (empty for the operation itself), the state, the time,
who it was, and what it was about. A last line without its end was being written when the power went: it is ignored,
and removed by whoever appends next. A line of a newer version is refused; unknown fields are not, so that later lines
may carry more (a chain of hashes would stand in `_encoded`, through which every line goes).
"""

import errno
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from sfp_server.clock import Clock, rfc3339
from sfp_server.errors import SfpError
from sfp_server.host.local import settle

VERSION = 1
STATES = ("begin", "done", "failed", "undone")


@dataclass(frozen=True)
class Entry:
    """One line. `step` is empty where the line is about the whole operation."""

    version: int
    operation: str
    kind: str
    step: str
    state: str
    at: str
    who: str
    what: str


class Journal:
    """The journal of one instance; appended to only by who holds the instance's lock."""

    def __init__(self, path: Path, who: str, clock: Clock) -> None:
        self._path = path
        self._who = who
        self._clock = clock

    def begin(self, kind: str, what: str) -> "Operation":
        """Record that an operation begins."""
        operation = Operation(self, operation_id(self._clock), kind)
        operation.record("", "begin", what)
        return operation

    def entries(self) -> list[Entry]:
        """Every whole line, oldest first."""
        return list(_entries(self._path, _read(self._path)))

    def cut_off(self) -> Entry | None:
        """The begin of the newest operation, where it has no end: whoever ran it is gone."""
        newest = next((entry for entry in reversed(self.entries()) if not entry.step), None)
        return newest if newest is not None and newest.state == "begin" else None

    def last(self, kind: str) -> Entry | None:
        """The begin of the newest operation of a kind."""
        begins = (entry for entry in reversed(self.entries()) if not entry.step and entry.state == "begin")
        return next((entry for entry in begins if entry.kind == kind), None)

    def append(self, operation: str, kind: str, step: str, state: str, what: str) -> None:
        """Write one line and return when it is on the disk."""
        at = rfc3339(self._clock.now())
        line = _encoded(Entry(VERSION, operation, kind, step, state, at, self._who, what))
        try:
            _append(self._path, line)
        except OSError as error:
            raise SfpError(
                f"cannot write {self._path}: {(error.strerror or str(error)).lower()}.",
                f"Without its journal nothing is changed. Look at the disk: df -h {self._path.parent}",
            ) from error


@dataclass(frozen=True)
class Operation:
    """One operation that is being recorded."""

    journal: Journal
    id: str
    kind: str

    def record(self, step: str, state: str, what: str = "") -> None:
        """Record what became of a step, or with an empty step, of the operation."""
        self.journal.append(self.id, self.kind, step, state, what)


def operation_id(clock: Clock) -> str:
    """A UUIDv7 (RFC 9562): milliseconds since 1970, then chance; later ones sort later."""
    milliseconds = int(clock.now().timestamp() * 1000)
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _encoded(entry: Entry) -> bytes:
    return json.dumps(asdict(entry), ensure_ascii=False).encode() + b"\n"


def _entries(path: Path, content: bytes) -> Iterator[Entry]:
    whole, _, _torn = content.rpartition(b"\n")
    for number, line in enumerate(whole.split(b"\n") if whole else (), start=1):
        yield _decoded(line, f"{path} line {number}")


def _decoded(line: bytes, where: str) -> Entry:
    try:
        fields = json.loads(line)
        if fields["version"] > VERSION:
            raise SfpError(f"{where} was written by a newer sfp server.", "Use that one, or a newer one still.")
        return Entry(**{name: fields[name] for name in Entry.__dataclass_fields__})
    except (ValueError, TypeError, KeyError) as error:
        raise SfpError(f"{where} is not a line of a journal.", "Move the file away to begin a new one.") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _append(path: Path, line: bytes) -> None:
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with open(descriptor, "r+b", buffering=0) as file:
        end = _whole(file.read())
        file.truncate(end)
        file.seek(end)
        if file.write(line) != len(line):
            file.truncate(end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file.fileno())
    if new:
        settle(path.parent)


def _whole(content: bytes) -> int:
    """How much of the content is whole lines, in bytes."""
    return content.rfind(b"\n") + 1
