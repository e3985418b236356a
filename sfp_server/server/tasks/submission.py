"""What may be submitted: the body of a request becomes a task, or all that is wrong with it."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Protocol

import msgspec
from msgspec import Meta, Struct

from sfp_server.server.principal import Principal
from sfp_server.server.tasks import refusals
from sfp_server.server.tasks.model import MOST_ATTEMPTS, NewTask, WorkerClass

LONGEST_TIMEOUT: Final = 24 * 3600  # seconds
_LONGEST_KEY: Final = 255
_DEEPEST: Final = 100  # lists and objects in one another: every program on the way to the sandbox has to read them


class RetryConfig(Struct, forbid_unknown_fields=True, rename="camel"):
    """How often a task is tried: `attempts` counts the first one."""

    attempts: Annotated[int, Meta(ge=1, le=MOST_ATTEMPTS)]


class SubmitTask(Struct, forbid_unknown_fields=True, rename="camel"):
    """A task to run. `data` is what its type asks for, or `{value, description}` around it; `timeout` is what one
    attempt may take, in milliseconds."""

    type: str
    data: Any = None
    priority: WorkerClass = "normal"
    schedule_type: Literal["immediate"] = "immediate"
    retry_config: RetryConfig | None = None
    timeout: Annotated[int, Meta(ge=1000, le=LONGEST_TIMEOUT * 1000)] | None = None


class Type(Protocol):
    """What the queue asks of a type of task."""

    @property
    def OWNER_ONLY(self) -> bool: ...

    def validate(self, data: Any) -> Any:
        """Pairs of a JSON pointer into the data and what is wrong there."""
        ...


@dataclass(frozen=True)
class Defaults:
    """What a task gets that does not say: attempts, and seconds that one may take."""

    attempts: int = 3
    timeout: float = 3600.0


def checked(who: Principal, asked: SubmitTask, types: Mapping[str, Type], defaults: Defaults) -> NewTask:
    """The task that was asked for; refused where it cannot be run, or not for this principal."""
    if asked.type not in types:
        raise refusals.unknown_type(asked.type, types)
    _permitted(who, asked, types[asked.type])
    if _depth_exceeds(asked.data, _DEEPEST):
        raise refusals.invalid([("/data", f"must not be nested deeper than {_DEEPEST}")])
    data, description, place = _unwrapped(asked.data)
    problems = [(place + pointer, message) for pointer, message in types[asked.type].validate(data)]
    if description is not None and (not isinstance(description, str) or "\0" in description or len(description) > 1000):
        problems.append(("/data/description", "must be a text of at most 1000 characters"))
    if problems:
        raise refusals.invalid(problems)
    return NewTask(
        type=asked.type,
        data=data,
        priority=asked.priority,
        timeout=defaults.timeout if asked.timeout is None else asked.timeout / 1000,
        attempts=defaults.attempts if asked.retry_config is None else asked.retry_config.attempts,
        description=description,
    )


def fingerprint(asked: SubmitTask) -> bytes:
    """What two requests share that ask for the same: the order of keys and white space do not count."""
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).digest()


def key_of(text: str | None) -> str | None:
    """An Idempotency-Key as it came, checked."""
    if text is not None and not (0 < len(text) <= _LONGEST_KEY and text.isascii() and text.isprintable()):
        raise refusals.bad_key()
    return text


def _permitted(who: Principal, asked: SubmitTask, kind: Type) -> None:
    if kind.OWNER_ONLY and not who.may("task:command"):
        raise refusals.not_permitted("task:command", f"a task of type {asked.type}")
    if asked.priority == "critical" and not who.may("task:submit:critical"):
        raise refusals.not_permitted("task:submit:critical", "a critical task")


def _unwrapped(data: Any) -> tuple[Any, Any, str]:
    """Data out of its published form `{value, description}`: with its description, and where in the body it stood."""
    if isinstance(data, dict) and "value" in data and data.keys() <= {"value", "description"}:
        return data["value"], data.get("description"), "/data/value"
    return data, None, "/data"


def _depth_exceeds(data: Any, most: int) -> bool:
    """Whether lists and objects stand in one another more than `most` deep. Level by level, so it recurses nowhere."""
    level = [data]
    for _ in range(most):
        level = [item for holder in level for item in _held(holder)]
    return any(isinstance(item, dict | list) for item in level)


def _held(holder: Any) -> Collection[Any]:
    if isinstance(holder, dict):
        return holder.values()
    return holder if isinstance(holder, list) else ()
