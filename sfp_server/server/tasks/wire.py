"""The queue's answers over HTTP, in the published names."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from sfp_server.server.tasks import refusals
from sfp_server.server.tasks.model import Attempt, Event, Status, Task, WorkerClass
from sfp_server.server.tasks.store import Brought


class SubmittedTask(Struct, rename="camel"):
    """A task that was accepted: `operationId` names it from now on."""

    operation_id: str
    type: str


class TaskError(Struct, rename="camel"):
    """Why the last attempt did not complete: error, timeout, lost (its worker or sandbox vanished) or cancelled."""

    message: str
    cause: str | None = None
    hint: str | None = None
    code: int | None = None


class TaskStatus(Struct, rename="camel"):
    """A task as it is now. `progress` is 0 to 100, `attempt` counts from 1 (0: none yet); `cancelling`: it runs and was
    asked to end."""

    operation_id: str
    type: str
    status: Status
    priority: WorkerClass
    progress: int
    message: str | None
    attempt: int
    cancelling: bool
    description: str | None
    created_at: datetime
    created_by: str
    started_at: datetime | None
    finished_at: datetime | None
    error: TaskError | None


class ResultFile(Struct, rename="camel"):
    """A file that the task made. `size` is in bytes, `sha256` in hex; `url` is good for an hour and needs no token."""

    name: str
    size: int
    sha256: str
    content_type: str
    url: str


class TaskResult(Struct, rename="camel"):
    """What a finished task brought; `error` where it failed."""

    operation_id: str
    type: str
    status: Status
    result: Any
    files: list[ResultFile]
    error: TaskError | None


class TaskAttempt(Struct, rename="camel"):
    """One try at a task, by which worker. `outcome` is completed, failed, cancelled or handed back, null while it runs;
    `cause` says why it did not complete: error, timeout, lost, cancelled, handed back."""

    attempt: int
    worker: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    cause: str | None
    error: TaskError | None


class LogLine(Struct, rename="camel"):
    """One line that a task said, in which attempt; `stream` is out or err."""

    at: datetime
    attempt: int
    stream: str
    text: str


class LogLines(Struct, rename="camel"):
    """A part of a task's log, oldest first. `next` is the cursor of what follows, or null at the end for now."""

    items: list[LogLine]
    next: str | None


def status_of(task: Task) -> TaskStatus:
    """A task on the wire."""
    return TaskStatus(
        operation_id=task.id,
        type=task.type,
        status=task.status,
        priority=task.priority,
        progress=task.progress,
        message=task.message,
        attempt=task.attempt,
        cancelling=task.cancelling,
        description=task.description,
        created_at=task.created_at,
        created_by=task.created_by,
        started_at=task.started_at,
        finished_at=task.finished_at,
        error=_error_of(task.error),
    )


def result_of(brought: Brought, urls: Sequence[str]) -> TaskResult:
    """A result on the wire, with a link to each of its files."""
    task = brought.task
    files = [
        ResultFile(file.name, file.size, file.sha256, file.content_type, url)
        for file, url in zip(brought.files, urls, strict=True)
    ]
    return TaskResult(task.id, task.type, task.status, brought.result, files, _error_of(task.error))


def attempt_of(attempt: Attempt) -> TaskAttempt:
    """An attempt on the wire."""
    return TaskAttempt(
        attempt=attempt.number,
        worker=attempt.worker,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        outcome=attempt.outcome,
        cause=attempt.cause,
        error=_error_of(attempt.error),
    )


def lines_of(said: Sequence[Event], limit: int) -> LogLines:
    """Lines on the wire, from up to `limit` + 1 of them: the one too many says that more follow."""
    shown = said[:limit]
    items = [LogLine(e.at, e.attempt, str(e.data.get("stream", "out")), str(e.data.get("text", ""))) for e in shown]
    return LogLines(items, _cursor(shown[-1].id) if len(said) > limit else None)


def after(cursor: str | None) -> int:
    """The event in a cursor that we gave out; 0 where there is none."""
    if cursor is None:
        return 0
    try:
        return int.from_bytes(base64.b64decode(cursor, altchars=b"-_", validate=True), signed=True)
    except (ValueError, OverflowError):
        raise refusals.bad_cursor() from None


def _cursor(event: int) -> str:
    return base64.urlsafe_b64encode(event.to_bytes(9, signed=True)).decode()


def _error_of(said: Mapping[str, Any] | None) -> TaskError | None:
    if said is None:
        return None
    hint, code = said.get("hint"), said.get("exitCode")
    return TaskError(
        message=str(said.get("message", "")),
        cause=said.get("cause"),
        hint=str(hint) if hint else None,
        code=code if isinstance(code, int) else None,
    )
