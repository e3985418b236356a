"""How a task is shown: followed as it runs, in a few lines, as a row."""

import re
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

import typer

from sfp_server.cli import ui

if TYPE_CHECKING:
    from sfp_server.client import Api, Event, TaskResult, TaskStatus

HEADERS = ("ID", "TYPE", "PRIORITY", "STATUS", "CREATED", "TOOK")

_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def watch(api: "Api", id: str, err: bool = False) -> None:
    """Follow a task to its end: one line when it starts, what it says, one line when it has ended."""
    screen = _Screen(id, err)
    screen.queued(api.status(id))
    try:
        for event in api.follow(id):
            screen.show(event)
    except KeyboardInterrupt:
        screen.line(f"The task goes on: sfp server task logs {id} -f")
        raise
    screen.ended(api)


def follow_logs(api: "Api", id: str) -> None:
    """Print what a task writes until it has finished."""
    for event in api.follow(id):
        if event.kind == "log":
            ui.say(plain(str(event.data.get("text", ""))))


def describe(task: "TaskStatus") -> list[str]:
    """A task in a few lines: what it is, how far, and what next."""
    lines = [f"{task.operation_id}  {task.type}  {task.priority}  {_state(task)}"]
    if task.message and not task.finished:
        lines.append(f"  {task.progress:3d} %  {plain(task.message)}")
    if task.error:
        lines.extend(failure(task.error))
    return [*lines, f"  {_next(task)}"]


def row(task: "TaskStatus") -> tuple[object, ...]:
    """A task as a line of a table."""
    status = f"{task.status} {task.progress} %" if task.status == "active" else task.status
    created = task.created_at.strftime("%Y-%m-%d %H:%M:%S") if task.created_at else ""
    return task.operation_id, task.type, task.priority, status, created, _took(task.started_at, task.finished_at)


def plain(text: str) -> str:
    """A text that others wrote, without what could steer a terminal."""
    return _CONTROL.sub("", text)


def size(count: int) -> str:
    """`812 B`, `3.4 kB`, `1.2 MB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


class _Screen:
    """What a person sees of one task. The line of its start stays open until it starts."""

    def __init__(self, id: str, err: bool) -> None:
        self._id = id
        self._err = err
        self._began = monotonic()
        self._open = False
        self._said = ""

    def queued(self, task: "TaskStatus") -> None:
        typer.echo(f"{self._id}  {task.priority}  queued", nl=False, err=self._err)
        self._open = True

    def show(self, event: "Event") -> None:
        if event.kind == "log":
            self.line(plain(str(event.data.get("text", ""))))
        elif event.kind == "progress":
            self._progress(event.data)
        elif event.kind == "status":
            self._status(event.data)

    def line(self, text: str) -> None:
        if self._open:
            typer.echo(err=self._err)
            self._open = False
        ui.say(text, err=self._err)

    def ended(self, api: "Api") -> None:
        task = api.status(self._id)
        took = ui.duration(monotonic() - self._began)
        left = _files(api.result(self._id)) if task.status == "completed" else ""
        self.line(f"{self._id}  {task.status} {'in' if task.status == 'completed' else 'after'} {took}{left}")
        for line in failure(task.error or {}):
            self.line(line)

    def _status(self, data: Any) -> None:
        if data.get("status") == "active" and self._open:
            typer.echo(f" → running in {ui.duration(monotonic() - self._began)}", err=self._err)
            self._open = False
        elif data.get("status") == "pending" and (data.get("cause") or data.get("error")):
            why = (data.get("error") or {}).get("message") or data.get("cause")
            self.line(f"Attempt {data.get('attempt', '')} ended: {plain(str(why))}. It is tried again.")
        elif data.get("cancelling"):
            self.line("Asked to end")

    def _progress(self, data: Any) -> None:
        message = plain(str(data.get("message") or ""))
        if message and message != self._said:
            self.line(message)
            self._said = message


def _state(task: "TaskStatus") -> str:
    if task.finished:
        took = _took(task.started_at or task.created_at, task.finished_at)
        return f"{task.status} {'in' if task.status == 'completed' else 'after'} {took}" if took else task.status
    return f"running, attempt {task.attempt}" if task.status == "active" else "queued"


def _next(task: "TaskStatus") -> str:
    if not task.finished:
        return f"sfp server task logs {task.operation_id} -f"
    return f"sfp server task {'result' if task.status == 'completed' else 'logs'} {task.operation_id}"


def _took(start: datetime | None, end: datetime | None) -> str:
    return ui.duration((end - start).total_seconds()) if start and end else ""


def failure(error: Any) -> list[str]:
    """Why it failed, and the hint where there is one."""
    return [f"  {plain(str(error[key]))}" for key in ("message", "hint") if error.get(key)]


def _files(left: "TaskResult") -> str:
    names = [plain(file.name) for file in left.files]
    count = "1 file" if len(names) == 1 else f"{len(names)} files"
    shown = f"    {count}{': ' + ', '.join(names) if len(names) <= 3 else ''}" if names else ""
    return f"{shown}    sfp server task result {left.operation_id}"
