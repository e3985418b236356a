"""What the API answers, as values. Times are UTC; sizes are bytes; ids are UUIDs as text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from sfp_server.cmd.base import Secret

FINISHED: Final = frozenset({"completed", "failed", "cancelled"})

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Part of a list; `next` is the cursor of the part that follows, or nothing at the end."""

    items: tuple[T, ...]
    next: str | None = None


@dataclass(frozen=True)
class Submitted:
    """A task that the server has taken on: from here on it is not lost."""

    operation_id: str
    type: str


@dataclass(frozen=True)
class TaskStatus:
    """A task as it is now. `status` is pending, active, completed, failed or cancelled; `progress` 0 to 100.

    `attempt` counts from 1, 0 is none yet; `cancelling`: it runs and was asked to end. `error` says why the last
    attempt did not complete, and has at least `message`.
    """

    operation_id: str
    type: str
    status: str
    priority: str
    progress: int = 0
    message: str | None = None
    attempt: int = 0
    cancelling: bool = False
    description: str | None = None
    created_at: datetime | None = None
    created_by: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: Mapping[str, Any] | None = None

    @property
    def finished(self) -> bool:
        return self.status in FINISHED


@dataclass(frozen=True)
class ResultFile:
    """A file that a task left. `url` is signed: it opens for a while, and for whoever holds it."""

    name: str
    size: int
    sha256: str
    content_type: str = "application/octet-stream"
    url: str = ""


@dataclass(frozen=True)
class TaskResult:
    """What a finished task left: `result` is its type's own value; `error` is there where it failed."""

    operation_id: str
    status: str
    type: str = ""
    result: Any = None
    files: tuple[ResultFile, ...] = ()
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class LogLine:
    """A line that a task wrote. `stream` is out or err; `attempt` counts from 1."""

    text: str
    stream: str = "out"
    attempt: int = 1
    at: datetime | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened to a task, in order: `kind` is status, progress, log or end, `data` what it carries.

    `id` is where a broken stream is taken up again; `end` has none of its own.
    """

    id: str
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def last(self) -> bool:
        """Whether nothing follows."""
        return self.kind == "end"


@dataclass(frozen=True)
class Token:
    """An application token, without its text: only its hash is stored."""

    id: str
    name: str
    role: str
    created_at: datetime | None = None
    created_by: str | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None

    def state(self, now: datetime) -> str:
        """active or expired."""
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


@dataclass(frozen=True)
class NewToken:
    """A token that was just made; its text is shown this once."""

    id: str
    name: str
    token: Secret
    role: str = "application"
    created_at: datetime | None = None
    expires_at: datetime | None = None
