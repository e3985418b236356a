"""Rows of the queue as values, and values as its columns take them. JSON is text in the database, decoded here, once."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from sfp_server.server.db import Record
from sfp_server.server.tasks.model import Attempt, Beat, Claim, Entry, Event, File, Task

TASK: Final = """id, type, class, status, description, progress, message, attempt, created_at, created_by, started_at,
finished_at, error, status = 'active' AND cancel_asked_at IS NOT NULL AS cancelling"""


def json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def value(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


def files_text(files: Sequence[File]) -> str:
    """Files as the task's row keeps them."""
    return json_text(list(files))


def files(text: str) -> tuple[File, ...]:
    return msgspec.json.decode(text, type=tuple[File, ...])


def claim(row: Record) -> Claim:
    return Claim(
        id=str(row["id"]), lease=row["lease"], attempt=row["attempt"], type=row["type"], data=value(row["data"]),
        timeout=row["timeout"], slot=row["slot"], number=row["number"],
    )


def beat(rows: Sequence[Record]) -> Beat:
    live = {(str(row["id"]), row["lease"]): row["cancelled"] for row in rows}
    return Beat(frozenset(live), frozenset(key for key, cancelled in live.items() if cancelled))


def progress(entries: Sequence[Entry]) -> tuple[int | None, str | None]:
    """Where the last entry of progress says that the attempt is."""
    said = [entry.data for entry in entries if entry.kind == "progress"]
    return (said[-1]["progress"], said[-1].get("message")) if said else (None, None)


def _lost(row: Record) -> Ending:
    error = {"message": f"the worker {row['worker']} was lost during attempt {row['attempt']}", "cause": "lost"}
    return Ending("failed", error=json_text(error), cause="lost", again=True)


def task(row: Record) -> Task:
    return Task(
        id=str(row["id"]), type=row["type"], priority=row["class"], status=row["status"],
        description=row["description"], progress=row["progress"], message=row["message"], attempt=row["attempt"],
        cancelling=row["cancelling"], created_at=row["created_at"], created_by=row["created_by"],
        started_at=row["started_at"], finished_at=row["finished_at"], error=value(row["error"]),
    )


def event(row: Record) -> Event:
    return Event(row["id"], row["kind"], row["attempt"], row["at"], value(row["data"]))


def attempt(row: Record) -> Attempt:
    return Attempt(
        number=row["number"], lease=row["lease"], worker=row["worker"], started_at=row["started_at"],
        finished_at=row["finished_at"], outcome=row["outcome"], cause=row["cause"], error=value(row["error"]),
    )
