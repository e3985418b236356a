"""The words of the queue as values. Ids are UUIDs as text; durations are seconds; times are the database's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

WorkerClass = Literal["critical", "normal", "batch"]
Status = Literal["pending", "active", "completed", "failed", "cancelled"]
Cause = Literal["error", "timeout", "lost", "cancelled", "handed back"]

CLASSES: Final[tuple[WorkerClass, ...]] = ("critical", "normal", "batch")
STATUSES: Final[tuple[Status, ...]] = ("pending", "active", "completed", "failed", "cancelled")
TERMINAL: Final[frozenset[str]] = frozenset({"completed", "failed", "cancelled"})
MOST_SLOTS: Final = 10
MOST_ATTEMPTS: Final = 10


@dataclass(frozen=True)
class NewTask:
    """A task as it was asked for, checked. `timeout` is what one attempt may take; `attempts` how many there may be."""

    type: str
    data: Any
    priority: WorkerClass
    timeout: float
    attempts: int
    description: str | None = None


@dataclass(frozen=True)
class Task:
    """A task as it is now. `attempt` counts those that were begun; `cancelling`: it runs, and was asked to end."""

    id: str
    type: str
    priority: WorkerClass
    status: Status
    description: str | None
    progress: int
    message: str | None
    attempt: int
    cancelling: bool
    created_at: datetime
    created_by: str
    started_at: datetime | None
    finished_at: datetime | None
    error: Mapping[str, Any] | None

    @property
    def finished(self) -> bool:
        return self.status in TERMINAL


@dataclass(frozen=True)
class Attempt:
    """One try at a task; without `finished_at` it runs."""

    number: int
    lease: int
    worker: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    cause: Cause | None
    error: Mapping[str, Any] | None


@dataclass(frozen=True)
class Event:
    """Something that happened to a task. Ids of one task grow in the order in which its events became visible."""

    id: int
    kind: Literal["status", "progress", "log"]
    attempt: int
    at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True)
class End:
    """The last word of a stream of events: the task is finished, and nothing more will be said."""

    status: str


@dataclass(frozen=True)
class Lane:
    """The queue of one class: tasks that wait and run, seconds that the oldest ready one has waited (none: nothing
    waits), slots that are enabled, and slots that are filled."""

    name: WorkerClass
    pending: int
    active: int
    oldest: float | None
    slots: int
    used: int


@dataclass(frozen=True)
class Claim:
    """The right to run one attempt of a task and to report on it, for as long as its lease lives.

    `lease` only grows with each claim of the same task: who reports with an older one is stale. `attempt` counts from
    1; one that was handed back does not count, so the same number may come again with a higher lease. `timeout` is
    what this attempt may take; `slot` is the class of the worker whose slot it fills, `number` that slot's number.
    """

    id: str
    lease: int
    attempt: int
    type: str
    data: Any
    timeout: float
    slot: str
    number: int = 1

    @property
    def key(self) -> tuple[str, int]:
        """What names this attempt everywhere: the task and the lease."""
        return self.id, self.lease


@dataclass(frozen=True)
class Beat:
    """What became of the leases that were renewed: (id, lease) of those that live, and of those to be cancelled.

    A claim that is not in `live` is stale: somebody else may have the task, so its sandbox has to die unheard.
    `cancelled` is part of `live`: stop the sandbox, then finish with `Outcome("cancelled")`.
    """

    live: frozenset[tuple[str, int]]
    cancelled: frozenset[tuple[str, int]]


@dataclass(frozen=True)
class Entry:
    """Something that an attempt says. `log`: {"text", "stream"}; `progress`: {"progress": 0 to 100, "message"}.

    `at` is when it was said; without it the database's time is taken."""

    kind: Literal["log", "progress"]
    data: Mapping[str, Any]
    at: datetime | None = None


@dataclass(frozen=True)
class File:
    """A file that an attempt left in the object store, under `key`. `size` is in bytes, `sha256` in hex."""

    name: str
    size: int
    sha256: str
    content_type: str
    key: str


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    A failed one with `retry` and attempts left goes back to pending with a growing delay; without, the task has failed.
    `error` has at least `message`; `cause` says why it failed: error, timeout, or lost (its sandbox vanished).
    Where the task was to be cancelled, everything but completed ends as cancelled.
    """

    status: Literal["completed", "failed", "cancelled"]
    result: Any = None
    error: Mapping[str, Any] | None = None
    files: Sequence[File] = ()
    retry: bool = False
    cause: Cause = "error"
