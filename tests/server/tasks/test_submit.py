"""What may be submitted, and that the same request is the same task."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from sfp_server.server.problems import Problem
from sfp_server.server.tasks.submission import Defaults, SubmitTask, checked, fingerprint, key_of
from tests.server.tasks.harness import MEMBER, OWNER, PROGRAM, TYPES, Queue

pytestmark = pytest.mark.anyio


def _refused(asked: SubmitTask, who: Any = MEMBER) -> Problem:
    with pytest.raises(Problem) as refused:
        checked(who, asked, TYPES, Defaults())
    return refused.value


def _pointers(errors: Sequence[Any]) -> list[str]:
    return [error["pointer"] for error in errors]


def test_a_task_gets_the_settings_where_it_does_not_say() -> None:
    task = checked(MEMBER, SubmitTask("ping"), TYPES, Defaults(attempts=5, timeout=60))
    assert (task.priority, task.attempts, task.timeout, task.data) == ("normal", 5, 60, None)
    task = checked(MEMBER, SubmitTask("ping", timeout=2500), TYPES, Defaults())
    assert (task.attempts, task.timeout) == (3, 2.5)


def test_an_unknown_type_is_told_the_known_ones() -> None:
    problem = _refused(SubmitTask("pong"))
    assert (problem.status, _pointers(problem.errors)) == (422, ["/type"])
    assert "known are command, picky, ping" in problem.detail


def test_all_that_a_type_finds_wrong_is_pointed_at() -> None:
    assert _pointers(_refused(SubmitTask("picky", {})).errors) == ["/data/depth", "/data"]
    published = {"value": {}, "description": 7}
    assert _pointers(_refused(SubmitTask("picky", published)).errors) == [
        "/data/value/depth",
        "/data/value",
        "/data/description",
    ]


def test_the_published_form_of_data_is_unwrapped() -> None:
    task = checked(MEMBER, SubmitTask("ping", {"value": {"echo": 1}, "description": "hello"}), TYPES, Defaults())
    assert (task.data, task.description) == ({"echo": 1}, "hello")
    other = {"value": 1, "other": 2}  # not the published form: data that has a value
    assert checked(MEMBER, SubmitTask("ping", other), TYPES, Defaults()).data == other


def test_commands_are_for_owners_and_critical_for_who_may() -> None:
    assert _refused(SubmitTask("command"), PROGRAM).status == 403
    assert checked(OWNER, SubmitTask("command"), TYPES, Defaults()).type == "command"
    nobody = type(MEMBER)("user", "n", "N", "member", frozenset({"task:submit"}))
    assert "task:submit:critical" in _refused(SubmitTask("ping", priority="critical"), nobody).detail


def test_the_same_words_in_another_order_are_the_same_request() -> None:
    one, other = SubmitTask("ping", {"a": 1, "b": [2]}), SubmitTask("ping", {"b": [2], "a": 1})
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) != fingerprint(SubmitTask("ping", {"a": 1, "b": [3]}))


@pytest.mark.parametrize("key", ["", "x" * 256, "ü", "a\nb", "a\0"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(Problem, match="printable ASCII"):
        key_of(key)


async def test_the_same_request_under_a_key_is_the_same_task_however_often_and_at_once(queue: Queue) -> None:
    asked = SubmitTask("ping", {"echo": "once"})
    answers = await asyncio.gather(*(queue.tasks.submit(MEMBER, asked, "key-1") for _ in range(8)))
    assert len({answer.id for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert await queue.admin.fetchval("SELECT count(*) FROM sfp.task") == 1
    assert len(await queue.audited("task.submitted")) == 1


async def test_a_key_with_another_body_is_refused(queue: Queue) -> None:
    await queue.tasks.submit(MEMBER, SubmitTask("ping", 1), "key-1")
    with pytest.raises(Problem) as refused:
        await queue.tasks.submit(MEMBER, SubmitTask("ping", 2), "key-1")
    assert (refused.value.status, refused.value.type) == (422, "idempotency-key-reused")
    assert await queue.admin.fetchval("SELECT count(*) FROM sfp.task") == 1


async def test_keys_are_each_principals_own_and_end_after_a_day(queue: Queue) -> None:
    asked = SubmitTask("ping")
    mine = await queue.tasks.submit(MEMBER, asked, "key-1")
    theirs = await queue.tasks.submit(PROGRAM, asked, "key-1")
    assert mine.id != theirs.id
    await queue.admin.execute("UPDATE sfp.idempotency SET at = at - $1::interval", timedelta(hours=25))
    assert (await queue.tasks.submit(MEMBER, asked, "key-1")).id != mine.id
    await queue.tasks.rescue()  # clears the other one away
    assert await queue.admin.fetchval("SELECT count(*) FROM sfp.idempotency") == 1


async def test_a_submit_is_audited_with_who_asked(queue: Queue) -> None:
    id = await queue.submit("batch", who=PROGRAM.seen("request-7", "192.0.2.1"))
    (event,) = await queue.audited("task.submitted")
    assert (event["actor"], event["resource"], event["request_id"]) == ("ci", f"task/{id}", "request-7")


async def test_the_queue_says_what_waits_and_runs(queue: Queue) -> None:
    await queue.running("critical")
    await queue.submit("batch")
    await queue.later(90)
    await queue.submit("batch")
    critical, normal, batch = await queue.tasks.queue(MEMBER)
    assert (critical.name, critical.pending, critical.active, critical.oldest) == ("critical", 0, 1, None)
    assert (critical.slots, critical.used, normal.pending) == (1, 1, 0)
    assert (batch.pending, batch.slots, batch.used) == (2, 1, 0)
    assert batch.oldest == pytest.approx(90, abs=5)
