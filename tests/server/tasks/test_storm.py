"""Many dispatchers at once, with tasks that fail, hang, are cancelled and handed back: a few seconds of everything."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import pytest

from sfp_server.server.problems import Problem
from sfp_server.server.tasks.model import CLASSES, Claim, Entry
from tests.server.conftest import FreshDatabase
from tests.server.tasks.harness import BROKEN, DONE, HOPELESS, OWNER, Queue, opened

pytestmark = pytest.mark.anyio

_WORKERS = {"critical": 2, "normal": 3, "batch": 1}
_TASKS = 150
_LEASE = 0.3  # seconds: short, so that many run out

# In one snapshot: active tasks without a slot, filled slots without their active task, slots filled beyond the count.
_WRONG = """
    SELECT count(*) FILTER (WHERE task.id IS NULL OR slot.task_id IS NULL OR task.status <> 'active')
         + count(*) FILTER (WHERE slot.task_id IS NOT NULL AND NOT slot.enabled)
    FROM sfp.slot FULL JOIN (SELECT * FROM sfp.task WHERE status = 'active') AS task ON slot.task_id = task.id
    WHERE slot.task_id IS NOT NULL OR task.id IS NOT NULL
"""


@dataclass
class Storm:
    """What the dispatchers did, and what was accepted of it."""

    queue: Queue
    chance: random.Random
    claimed: list[tuple[str, int]] = field(default_factory=list)
    accepted: Counter[str] = field(default_factory=Counter)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def dispatch(self, name: str, slot: str) -> None:
        while not self.over.is_set():
            claim = await self.queue.tasks.claim(name, slot)
            if claim is None:
                await self.queue.tasks.wait_for_work(slot, 0.01)
                continue
            self.claimed.append(claim.key)
            await self.chance.choice(self._fates())(claim)

    def _fates(self) -> list[Callable[[Claim], Awaitable[None]]]:
        finish = [partial(self._finish, outcome=outcome) for outcome in (DONE, DONE, DONE, BROKEN, HOPELESS)]
        return [*finish, self._twice, self._talk, self._hand_back, self._vanish, self._too_late]

    async def _finish(self, claim: Claim, outcome: object = DONE) -> None:
        if await self.queue.tasks.finish(claim, outcome) and outcome is not BROKEN:  # type: ignore[arg-type]
            self.accepted[claim.id] += 1

    async def _twice(self, claim: Claim) -> None:
        await asyncio.gather(self._finish(claim), self._finish(claim, HOPELESS))

    async def _talk(self, claim: Claim) -> None:
        await self.queue.tasks.record(claim, [Entry("log", {"text": "…"}), Entry("progress", {"progress": 50})])
        await self.queue.tasks.beat([claim])
        await self._finish(claim)

    async def _hand_back(self, claim: Claim) -> None:
        await self.queue.tasks.hand_back(claim, "storm")

    async def _vanish(self, claim: Claim) -> None:
        """Nobody hears of this attempt again."""

    async def _too_late(self, claim: Claim) -> None:
        while claim.key in (await self.queue.tasks.beat([claim])).live and not self.over.is_set():
            await self.queue.tasks.cancel(OWNER, claim.id)
            await asyncio.wait([asyncio.create_task(self.over.wait())], timeout=_LEASE * 2)
        await self._finish(claim)

    async def rescue(self) -> None:
        while not self.over.is_set():
            await self.queue.tasks.rescue()
            await self.queue.admin.execute("UPDATE sfp.task SET ready_at = now() WHERE ready_at > now()")
            assert await self.queue.admin.fetchval(_WRONG) == 0

    async def submit(self) -> None:
        for _ in range(_TASKS):
            id = await self.queue.submit(self.chance.choice(CLASSES), attempts=self.chance.randint(1, 4))
            if self.chance.random() < 0.1:
                await self._cancel(id)

    async def _cancel(self, id: str) -> None:
        with contextlib.suppress(Problem):  # it may have ended meanwhile
            await self.queue.tasks.cancel(OWNER, id)

    async def ends(self) -> None:
        await self.submit()
        while await self.queue.unfinished():
            await self.queue.tasks.wait_for_work("critical", 0.02)
        self.over.set()


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_order_of_events_breaks_the_queue(fresh_database: FreshDatabase, seed: int) -> None:
    async with opened(fresh_database, size=12, lease=_LEASE) as queue, asyncio.timeout(60):
        await queue.tasks.set_workers(_WORKERS)
        storm = Storm(queue, random.Random(seed))
        async with asyncio.TaskGroup() as group:
            for number in range(9):
                group.create_task(storm.dispatch(f"d{number}", CLASSES[number % 3]))
            group.create_task(storm.rescue())
            group.create_task(storm.ends())
        await _check(queue, storm)


async def _check(queue: Queue, storm: Storm) -> None:
    assert len(storm.claimed) == len(set(storm.claimed))
    assert len(storm.claimed) == await queue.admin.fetchval("SELECT count(*) FROM sfp.attempt")
    assert max(storm.accepted.values()) == 1
    assert await queue.used() == 0
    ends = await queue.admin.fetch(
        "SELECT task_id, count(*) FROM sfp.task_event WHERE kind = 'status' "
        "AND data ->> 'status' IN ('completed', 'failed', 'cancelled') GROUP BY task_id"
    )
    assert len(ends) == _TASKS
    assert {row["count"] for row in ends} == {1}
    assert not await queue.admin.fetchval("SELECT count(*) FROM sfp.task WHERE attempt > max_attempts")
    outcomes = await queue.admin.fetch("SELECT cause, count(*) FROM sfp.attempt GROUP BY cause")
    assert {row["cause"] for row in outcomes} == {None, "error", "lost", "cancelled", "handed back"}
