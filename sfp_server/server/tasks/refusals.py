"""What the queue refuses, and in which words: every problem of this capability stands here."""

from collections.abc import Iterable, Sequence

from sfp_server.server.problems import Problem
from sfp_server.server.tasks.model import Task


def invalid(errors: Sequence[tuple[str, str]]) -> Problem:
    """422: pairs of a JSON pointer into the body and what is wrong there."""
    first = "; ".join(f"{pointer or 'the body'} {message}" for pointer, message in errors[:3])
    listed = [{"pointer": pointer, "detail": message} for pointer, message in errors]
    return Problem(422, "invalid-task", "The task cannot be accepted", first, listed)


def unknown_type(name: str, known: Iterable[str]) -> Problem:
    """422: no such type of task."""
    return invalid([("/type", f"{name!r} is not a type of task; known are {', '.join(sorted(known))}")])


def not_permitted(permission: str, what: str) -> Problem:
    """403: the principal lacks a permission."""
    return Problem(403, "forbidden", "Not permitted", f"{what} needs the permission {permission}")


def not_yours(id: str) -> Problem:
    """403: only who submitted a task, or an owner, may cancel it."""
    return Problem(
        403, "forbidden", "Not permitted", f"task {id} was submitted by somebody else; an owner may cancel it"
    )


def missing(id: str) -> Problem:
    """404: no such task."""
    return Problem(404, "task-not-found", "No such task", f"there is no task {id}")


def finished(task: Task) -> Problem:
    """409: nothing to cancel any more."""
    return Problem(409, "task-finished", "The task is finished", f"task {task.id} is {task.status} already")


def unfinished(task: Task) -> Problem:
    """409: no result yet."""
    detail = f"task {task.id} is {task.status}; its events say when it ends: GET tasks/{task.id}/events"
    return Problem(409, "task-not-finished", "The task is not finished", detail)


def key_reused() -> Problem:
    """422: an Idempotency-Key came again with another body."""
    detail = "this Idempotency-Key was used in the last 24 h for another request; take a new one for a new task"
    return Problem(422, "idempotency-key-reused", "The Idempotency-Key is taken", detail)


def bad_key() -> Problem:
    """400: what came as Idempotency-Key is none."""
    detail = "an Idempotency-Key has 1 to 255 printable ASCII characters"
    return Problem(400, "idempotency-key-invalid", "The Idempotency-Key is not one", detail)


def bad_cursor() -> Problem:
    """400: a cursor that we did not give out."""
    return Problem(400, "cursor-invalid", "The cursor is not one", "take the cursor from `next` of the page before")
