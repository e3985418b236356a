"""The rules of the queue.

**Order.** Inside a class first in, first out, by the moment a task became ready. A slot runs its own class; slots but
the first are lent downward (critical to normal and batch, normal to batch) while no task of their own class waits and
the lower class has no free slot of its own (or has left a task waiting for 2 s: its worker may be away). Among the
classes that may borrow, the order is by virtual deadline: the moment a task became ready plus 0 s for critical, 60 s
for normal, 600 s for batch.

**Nothing starves.** A class with slots has at least the first one for itself alone, so a task waits no longer than the
tasks of its class before it take there. A class without slots competes for lent ones on equal terms, by virtual
deadline: a batch task is overtaken only by tasks that became ready less than 600 s after it, so it waits at most 600 s
longer than what was ready before it takes to run. (Without slots, and without a lent one above, a class does not run
until `set_workers` changes that.)

**At least once, fenced.** A claim raises the lease. Whoever reports holds id, lease and status active under the lock of
the row, or is stale: the report changes nothing and is audited. So a task has one terminal transition and one accepted
result, and what a worker says that was given up is dropped.
"""

import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from sfp_server.server.ids import new_id
from sfp_server.server.principal import Principal, system
from sfp_server.server.tasks import refusals, submission
from sfp_server.server.tasks.doorbell import CANCEL, TASK, WORK, Bell, Ear
from sfp_server.server.tasks.model import CLASSES, Attempt, Beat, Claim, End, Entry, Event, File, Lane, Outcome, Task
from sfp_server.server.tasks.reports import ending_of, handed_back, legible, slots_of
from sfp_server.server.tasks.store import Brought, Ended, Filters, Lines, Store
from sfp_server.server.tasks.stream import follow
from sfp_server.server.tasks.submission import Defaults, SubmitTask, Type

__all__ = ["Backoff", "Beat", "Claim", "Entry", "File", "Filters", "Lines", "Outcome", "Submitted", "Tasks"]

_WORKER: Final = system("worker", "task:work", "task:read")
_RESCUED_AT_ONCE: Final = 100
_TIDY_EVERY: Final = 3600.0  # seconds between two clearings of old Idempotency-Keys


@dataclass(frozen=True)
class Backoff:
    """How long a failed task rests before its next attempt: twice as long each time, up to `most` seconds, and
    somewhere between half of that and all of it, so that what failed together does not come back together."""

    first: float = 5.0
    most: float = 300.0
    random: Callable[[], float] = random.random

    def after(self, attempt: int) -> float:
        """Seconds to rest after the attempt of this number."""
        whole = min(self.most, self.first * 2 ** (attempt - 1))
        return float(whole * (0.5 + self.random() / 2))


@dataclass(frozen=True)
class Submitted:
    """The answer to a submit. `replayed`: its Idempotency-Key had been used, and this is the task of then."""

    id: str
    type: str
    replayed: bool = False


class Tasks:
    """The queue, for those who submit and for those who work. Any method may raise `Unavailable` while PostgreSQL is
    away; without Redis everything works, and happens within a second instead of at once."""

    def __init__(
        self,
        store: Store,
        bell: Bell,
        types: Mapping[str, Type],
        defaults: Defaults = Defaults(),  # noqa: B008  # frozen
        backoff: Backoff = Backoff(),  # frozen
    ) -> None:
        self._store = store
        self._bell = bell
        self._types = types
        self._defaults = defaults
        self._backoff = backoff
        self._ears: dict[str, Ear] = {}
        self._listening = ExitStack()
        self._tidy_at = 0.0

    # For those who submit and look on.

    async def submit(self, who: Principal, asked: SubmitTask, key: str | None = None) -> Submitted:
        """Accept a task. With a `key`, the same request within 24 h is the same task; another one is refused."""
        task = submission.checked(who, asked, self._types, self._defaults)
        id = new_id()
        before = await self._store.submit(who, id, task, submission.key_of(key), submission.fingerprint(asked))
        if before is None:
            await self._bell.ring(WORK, task.priority)
            return Submitted(id, task.type)
        if not before.same:
            raise refusals.key_reused()
        return Submitted(before.id, before.type, replayed=True)

    async def task(self, who: Principal, id: str) -> Task:
        """A task as it is now."""
        task = await self._store.task(who, id)
        if task is None:
            raise refusals.missing(id)
        return task

    async def result(self, who: Principal, id: str) -> Brought:
        """What a finished task brought."""
        brought = await self._store.result(who, id)
        if brought is None:
            raise refusals.missing(id)
        if not brought.task.finished:
            raise refusals.unfinished(brought.task)
        return brought

    async def listed(self, who: Principal, filters: Filters, before: str | None, limit: int) -> list[Task]:
        """Newest first, those submitted before the task `before`."""
        return await self._store.listed(who, filters, before, limit)

    async def attempts(self, who: Principal, id: str) -> list[Attempt]:
        """The tries at a task, with how and why each ended."""
        await self.task(who, id)
        return await self._store.attempts(who, id)

    async def logs(self, who: Principal, id: str, lines: Lines) -> list[Event]:
        """What a task said."""
        await self.task(who, id)
        return await self._store.logs(who, id, lines)

    def events(self, who: Principal, id: str, after: int = 0) -> AsyncIterator[Event | End | None]:
        """Everything that happens to a task after an event, to its end; nothing (None) each second without news."""
        return follow(self._store, self._bell, who, id, after)

    async def cancel(self, who: Principal, id: str) -> Task:
        """Cancel a waiting task, ask an active one to end. Asked before: nothing changes."""
        task = await self.task(who, id)
        if task.created_by != who.id and not who.may("task:cancel:any"):
            raise refusals.not_yours(id)
        if task.finished:
            raise refusals.finished(task)
        status = await self._store.cancel(who, id)
        if status == "active":
            await self._bell.ring(CANCEL, id)
        if status is not None:
            await self._bell.ring(TASK + id, status)
        return await self._cancelled(who, id)

    async def _cancelled(self, who: Principal, id: str) -> Task:
        """The task now; refused where it ended otherwise in the same moment."""
        task = await self.task(who, id)
        if task.status in ("completed", "failed"):
            raise refusals.finished(task)
        return task

    async def queue(self, who: Principal) -> list[Lane]:
        """The queue by class, most urgent first."""
        return await self._store.queue(who)

    # For those who work.

    async def claim(self, worker: str, slot: str) -> Claim | None:
        """Take the next task for a free slot of this class, or nothing. `worker` is the name of the dispatcher."""
        self._ear(slot)  # what is rung from here on is not missed by the wait that follows
        claim = await self._store.claim(_WORKER, worker, slot)
        if claim:
            await self._bell.ring(TASK + claim.id, "active")
        return claim

    async def beat(self, claims: Sequence[Claim]) -> Beat:
        """Renew these leases for 10 s (call about every 3 s) and learn which are stale or to be cancelled."""
        return await self._store.beat(_WORKER, claims) if claims else Beat(frozenset(), frozenset())

    async def record(self, claim: Claim, entries: Sequence[Entry]) -> bool:
        """Keep what an attempt said, in this order; false: stale."""
        live = await self._store.record(_WORKER, claim, [legible(entry) for entry in entries])
        if live:
            await self._bell.ring(TASK + claim.id, "said")
        return live

    async def finish(self, claim: Claim, outcome: Outcome) -> bool:
        """End an attempt and free its slot; false: stale, and the outcome is dropped and audited."""
        ending = ending_of(outcome, self._backoff.after(claim.attempt))
        return await self._ended(await self._store.end(_WORKER, claim, ending))

    async def hand_back(self, claim: Claim, reason: str) -> bool:
        """Give a task back unfinished: pending at once, and the attempt does not count; false: stale."""
        return await self._ended(await self._store.end(_WORKER, claim, handed_back(reason)))

    async def rescue(self) -> int:
        """End the attempts whose lease ran out and free their slots; how many there were. Call about every second,
        from as many processes as there are."""
        await self._tidy()
        for count in range(_RESCUED_AT_ONCE):
            if not await self._ended(await self._store.rescue(_WORKER)):
                return count
        return _RESCUED_AT_ONCE

    async def _ended(self, ended: Ended | None) -> bool:
        if ended is None:
            return False
        await self._bell.ring(TASK + ended.id, ended.status)
        if ended.status == "pending":
            await self._bell.ring(WORK, ended.priority)
        return True

    async def _tidy(self) -> None:
        now = time.monotonic()
        if now >= self._tidy_at:
            self._tidy_at = now + _TIDY_EVERY
            await self._store.forget_keys(_WORKER)

    async def set_workers(self, counts: Mapping[str, int]) -> None:
        """How many attempts each class runs at once (0 to 10). What runs goes on; a slot too many is not filled
        again."""
        await self._store.set_workers(_WORKER, slots_of(counts))

    async def wait_for_work(self, slot: str, timeout: float = 1.0) -> bool:
        """Until the doorbell rings for work that a slot of this class may take, at most `timeout` seconds. What was
        rung since the last claim counts."""
        loop_time = time.monotonic
        deadline = loop_time() + timeout
        while (left := deadline - loop_time()) > 0:
            said = await self._ear(slot).wait(left)
            if any(_concerns(slot, text) for text in said):
                return True
        return False

    async def cancellations(self) -> AsyncIterator[str]:
        """Ids of active tasks as they are asked to be cancelled. A hint for speed: `beat` says it for certain."""
        with self._bell.ear(CANCEL) as ear:
            while True:
                for id in await ear.wait(60):
                    if id:
                        yield id

    def _ear(self, slot: str) -> Ear:
        if slot not in self._ears:
            self._ears[slot] = self._listening.enter_context(self._bell.ear(WORK))
        return self._ears[slot]


def _concerns(slot: str, said: str) -> bool:
    """Whether work of the class that was rung for may run in a slot of this class; an empty text may mean any."""
    return said not in CLASSES or CLASSES.index(said) >= CLASSES.index(slot)
