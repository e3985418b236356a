"""Rows of the queue as values, and values as its columns take them. JSON is text there, decoded here, once."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from sfp_server.server.db import Record
from sfp_server.server.tasks.model import Attempt, Beat, Claim, Entry, Event, File, Task

_PLAIN: Final = ("type", "status", "description", "progress", "message", "attempt", "cancelling")
_MADE: Final = ("created_at", "created_by", "started_at", "finished_at")

TASK: Final = (
    "id, type, class, status, description, progress, message, attempt, created_at, created_by, started_at, "
    "finished_at, error, status = 'active' AND cancel_asked_at IS NOT NULL AS cancelling"
)


def json_text(value: Any) -> str:
    """A value as a column of JSON takes it."""
    return msgspec.json.encode(value).decode()


def value(text: str | None) -> Any:
    """What a column of JSON says; nothing where it is null."""
    return None if text is None else msgspec.json.decode(text)


def files(text: str) -> tuple[File, ...]:
    """The files of a task."""
    return msgspec.json.decode(text, type=tuple[File, ...])


def task(row: Record) -> Task:
    """A task from the columns `TASK`."""
    fields = {name: row[name] for name in (*_PLAIN, *_MADE)}
    return Task(id=str(row["id"]), priority=row["class"], error=value(row["error"]), **fields)


def claim(row: Record) -> Claim:
    """What the claim statement took."""
    return Claim(id=str(row["id"]), data=value(row["data"]), **_but(row, "id", "data"))


def beat(renewed: Sequence[Record]) -> Beat:
    """The leases that live."""
    live = {(str(row["id"]), row["lease"]): row["cancelled"] for row in renewed}
    return Beat(frozenset(live), frozenset(key for key, cancelled in live.items() if cancelled))


def event(row: Record) -> Event:
    """What happened to a task."""
    return Event(row["id"], row["kind"], row["attempt"], row["at"], value(row["data"]))


def attempt(row: Record) -> Attempt:
    """A try at a task."""
    return Attempt(error=value(row["error"]), **_but(row, "task_id", "slot_class", "slot_number", "error"))


def progress(entries: Sequence[Entry]) -> tuple[int | None, str | None]:
    """Where the last entry of progress says that the attempt is."""
    said = [entry.data for entry in entries if entry.kind == "progress"]
    return (said[-1]["progress"], said[-1].get("message")) if said else (None, None)


def _but(row: Record, *names: str) -> Mapping[str, Any]:
    return {name: item for name, item in row.items() if name not in names}
