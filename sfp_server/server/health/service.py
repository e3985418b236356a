"""How the server is: every part is asked at the same time, and one that is slow to answer is not waited for."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sfp_server.server.principal import Principal

_LOG = logging.getLogger("sfp.health")
T = TypeVar("T")
_PATIENCE = 2.0  # seconds


@dataclass(frozen=True)
class Part:
    """One part of the server. `status` is ok or failed, `milliseconds` how long its answer took."""

    name: str
    status: str
    milliseconds: int


class Lane(Protocol):
    """The queue of one worker class."""

    @property
    def name(self) -> str: ...
    @property
    def pending(self) -> int: ...
    @property
    def active(self) -> int: ...
    @property
    def oldest(self) -> float | None: ...
    @property
    def slots(self) -> int: ...


@dataclass(frozen=True)
class Report:
    """`status` is healthy, degraded (it works, with less) or unhealthy (it does not). `queue` is None where it was not
    asked for or could not be had."""

    status: str
    parts: Sequence[Part]
    schema_version: int
    queue: Sequence[Lane] | None


@dataclass(frozen=True)
class Health:
    """What is asked. `essential` parts make the server unhealthy, `others` degrade it. `schema_version` is an essential
    part too: it stands in the database."""

    schema_version: Callable[[], Awaitable[int]]
    others: Mapping[str, Callable[[], Awaitable[object]]]
    queue: Callable[[Principal], Awaitable[Sequence[Lane]]] | None = None

    async def report(self, principal: Principal) -> Report:
        """How it is now; the queue only for those who may read it."""
        (database, version), others, lanes = await asyncio.gather(
            _asked("database", self.schema_version), self._others(), self._lanes(principal)
        )
        parts = [database, *others]
        return Report(_status(parts), parts, version or 0, lanes)

    async def _others(self) -> list[Part]:
        answers = await asyncio.gather(*(_asked(name, question) for name, question in self.others.items()))
        return [part for part, _ in answers]

    async def _lanes(self, principal: Principal) -> Sequence[Lane] | None:
        question = self.queue
        if question is None or not principal.may("health:read"):
            return None
        return (await _asked("queue", lambda: question(principal)))[1]


async def _asked(name: str, question: Callable[[], Awaitable[T]]) -> tuple[Part, T | None]:
    began = time.monotonic()
    try:
        answer: T | None = await asyncio.wait_for(question(), _PATIENCE)
        status = "ok"
    except Exception as error:  # whatever it is, that is what we are here to tell
        _LOG.warning("%s does not answer", name, extra={"fields": {"cause": f"{type(error).__name__}: {error}"}})
        answer, status = None, "failed"
    return Part(name, status, round((time.monotonic() - began) * 1000)), answer


def _status(parts: Sequence[Part]) -> str:
    failed = {part.name for part in parts if part.status != "ok"}
    if "database" in failed:
        return "unhealthy"
    return "degraded" if failed else "healthy"
