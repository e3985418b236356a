"""Claim, lease and finish against a model: any order of acts does to PostgreSQL what it does to a pure program."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from sfp_server.server.problems import Problem
from sfp_server.server.tasks.model import Claim, Outcome
from tests.server.conftest import FreshDatabase
from tests.server.tasks.harness import OWNER, Queue, opened
from tests.server.tasks.pure import CLASSES, PureQueue

_LEAPS = (3, 11, 70, 700)
_EMPTY = """
    UPDATE sfp.slot SET task_id = NULL, enabled = false;
    DELETE FROM sfp.task;
    TRUNCATE sfp.event;
"""
_SEEN = """
    SELECT id::text, status, lease, attempt, cancel_asked_at IS NOT NULL AND status = 'active' AS cancelling
    FROM sfp.task
"""
_UNSOUND = """
    SELECT 'an attempt runs beside its task' WHERE EXISTS (
        SELECT FROM sfp.task FULL JOIN sfp.attempt ON task.id = task_id AND task.lease = attempt.lease
        WHERE (task.status = 'active') <> (attempt.lease IS NOT NULL AND attempt.finished_at IS NULL))
    UNION SELECT 'more than one end' WHERE EXISTS (
        SELECT FROM sfp.task_event WHERE kind = 'status' AND data ->> 'status' IN ('completed', 'failed', 'cancelled')
        GROUP BY task_id HAVING count(*) > 1)
    UNION SELECT 'more attempts count than there may be' WHERE EXISTS (
        SELECT FROM sfp.attempt JOIN sfp.task ON task.id = task_id WHERE coalesce(outcome, '') <> 'handed back'
        GROUP BY task_id, max_attempts HAVING count(*) > max_attempts)
    UNION SELECT 'lower work in a first slot' WHERE EXISTS (
        SELECT FROM sfp.slot JOIN sfp.task ON task.id = task_id WHERE number = 1 AND slot.class <> task.class)
"""


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def test_the_queue_does_what_the_model_does(runner: asyncio.Runner, fresh_database: FreshDatabase) -> None:
    context = opened(fresh_database)
    queue = runner.run(context.__aenter__())
    try:
        run_state_machine_as_test(
            lambda: _machine(runner, queue),
            settings=settings(
                max_examples=40,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        runner.run(context.__aexit__(None, None, None))


class QueueMachine(RuleBasedStateMachine):
    """Every rule acts on both; after each, both have to look the same."""

    claims = Bundle("claims")
    ids = Bundle("ids")

    runner: asyncio.Runner
    queue: Queue

    def __init__(self) -> None:
        super().__init__()
        self.model = PureQueue()

    def run(self, act: Any) -> Any:
        return self.runner.run(act)

    @initialize()
    def begin(self) -> None:
        self._set_workers({"critical": 2, "normal": 2, "batch": 1})

    @rule(critical=st.integers(0, 3), normal=st.integers(0, 3), batch=st.integers(0, 2))
    def set_workers(self, critical: int, normal: int, batch: int) -> None:
        self._set_workers({"critical": critical, "normal": normal, "batch": batch})

    def _set_workers(self, counts: dict[str, int]) -> None:
        self.run(self.queue.tasks.set_workers(counts))
        self.model.set_workers(counts)

    @rule(target=ids, priority=st.sampled_from(CLASSES), attempts=st.integers(1, 3))
    def submit(self, priority: str, attempts: int) -> str:
        id = self.run(self.queue.submit(priority, attempts))
        self.model.submit(id, priority, attempts)
        return str(id)

    @rule(target=claims, priority=st.sampled_from(CLASSES))
    def claim(self, priority: str) -> Any:
        claim: Claim | None = self.run(self.queue.tasks.claim("w", priority))
        taken = claim and (claim.id, claim.lease, claim.attempt, claim.number)
        assert taken == self.model.claim(priority)
        return claim if claim else multiple()

    @rule(claim=claims)
    def beat(self, claim: Claim) -> None:
        beat = self.run(self.queue.tasks.beat([claim]))
        assert (claim.key in beat.live, claim.key in beat.cancelled) == self.model.beat(claim.id, claim.lease)

    @rule(claim=claims, status=st.sampled_from(["completed", "failed", "cancelled"]), retry=st.booleans())
    def finish(self, claim: Claim, status: Any, retry: bool) -> None:
        rest = 5.0 * 2 ** (claim.attempt - 1)
        accepted = self.run(self.queue.tasks.finish(claim, Outcome(status, retry=retry)))
        assert accepted == self.model.end(claim.id, claim.lease, status, retry, rest)

    @rule(claim=claims)
    def hand_back(self, claim: Claim) -> None:
        accepted = self.run(self.queue.tasks.hand_back(claim, "draining"))
        assert accepted == self.model.end(claim.id, claim.lease, "handed back", False, 0.0)

    @rule(seconds=st.sampled_from(_LEAPS))
    def leap(self, seconds: float) -> None:
        self.run(self.queue.later(seconds))
        self.model.leap(seconds)

    @rule()
    def rescue(self) -> None:
        assert self.run(self.queue.tasks.rescue()) == self.model.rescue()

    @rule(id=ids)
    def cancel(self, id: str) -> None:
        refused = self.model.tasks[id].status in ("completed", "failed", "cancelled")
        try:
            self.run(self.queue.tasks.cancel(OWNER, id))
            assert not refused
        except Problem:
            assert refused
        self.model.cancel(id)

    @invariant()
    def looks_the_same(self) -> None:
        assert self.run(self._seen()) == {id: task.seen() for id, task in self.model.tasks.items()}
        slots = {(slot.priority, slot.number): slot.task for slot in self.model.slots if slot.task}
        assert self.run(self._filled()) == slots

    @invariant()
    def is_sound(self) -> None:
        assert self.run(self.queue.admin.fetch(_UNSOUND)) == []

    async def _seen(self) -> dict[str, tuple[Any, ...]]:
        return {row["id"]: tuple(row.values())[1:] for row in await self.queue.admin.fetch(_SEEN)}

    async def _filled(self) -> dict[tuple[str, int], str]:
        rows = await self.queue.admin.fetch("SELECT class, number, task_id FROM sfp.slot WHERE task_id IS NOT NULL")
        return {(row["class"], row["number"]): str(row["task_id"]) for row in rows}


def _machine(runner: asyncio.Runner, queue: Queue) -> QueueMachine:
    runner.run(queue.admin.execute(_EMPTY))
    machine = QueueMachine()
    machine.runner, machine.queue = runner, queue
    return machine
