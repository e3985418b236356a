"""The events of a task: in order, once, to the end; with a bell, and without one."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfp_server.server.tasks.model import End, Entry, Event
from sfp_server.server.tasks.stream import frame, server_sent
from tests.server.tasks.harness import BROKEN, DONE, MEMBER, Queue

pytestmark = pytest.mark.anyio


async def _all(happening: AsyncIterator[Event | End | None]) -> list[Event | End]:
    return [event async for event in happening if event is not None]


def _told(events: list[Event | End]) -> list[object]:
    return [event.data.get("status", event.data.get("text")) for event in events if isinstance(event, Event)]


async def test_a_stream_tells_everything_in_order_and_ends(queue: Queue) -> None:
    claim = await queue.running()
    following = asyncio.create_task(_all(queue.tasks.events(MEMBER, claim.id)))
    for number in range(20):
        assert await queue.tasks.record(
            claim, [Entry("log", {"text": f"{number}a"}), Entry("log", {"text": f"{number}b"})]
        )
    await queue.tasks.finish(claim, DONE)
    events = await following
    lines = [f"{number}{letter}" for number in range(20) for letter in "ab"]
    assert _told(events) == ["pending", "active", *lines, "completed"]
    assert events[-1] == End("completed")


async def test_wherever_a_stream_breaks_it_goes_on_without_loss_or_doubles(queue: Queue) -> None:
    claim = await queue.running()
    for number in range(5):
        await queue.tasks.record(claim, [Entry("log", {"text": str(number)})])
    await queue.tasks.finish(claim, DONE)
    events = await _all(queue.tasks.events(MEMBER, claim.id))
    told = [event for event in events if isinstance(event, Event)]
    for place, event in enumerate(told):
        assert await _all(queue.tasks.events(MEMBER, claim.id, event.id)) == events[place + 1 :]


async def test_a_stream_that_was_complete_only_says_the_end_again(queue: Queue) -> None:
    id = await queue.submit()
    await queue.tasks.cancel(MEMBER, id)
    assert await _all(queue.tasks.events(MEMBER, id, 2**63 - 1)) == [End("cancelled")]


async def test_a_stream_goes_on_through_a_retry(queue: Queue) -> None:
    claim = await queue.running()
    await queue.tasks.finish(claim, BROKEN)
    await queue.later(6)
    again = await queue.tasks.claim("w", "normal")
    assert again is not None
    await queue.tasks.finish(again, DONE)
    events = await _all(queue.tasks.events(MEMBER, claim.id))
    assert _told(events) == ["pending", "active", "pending", "active", "completed"]
    returned = events[2]
    assert isinstance(returned, Event)
    assert (returned.attempt, returned.data["cause"], returned.data["error"]["message"]) == (1, "error", "it broke")


async def test_many_writers_of_one_task_lose_no_event_for_a_reader(queue: Queue) -> None:
    """The ids of a task's events become visible in their order: who has seen one has seen all before it."""
    claim = await queue.running()
    following = asyncio.create_task(_all(queue.tasks.events(MEMBER, claim.id)))
    said = (queue.tasks.record(claim, [Entry("log", {"text": str(number)})]) for number in range(60))
    await asyncio.gather(*said)
    await queue.tasks.finish(claim, DONE)
    assert sorted(_told(await following)[2:-1], key=str) == sorted(map(str, range(60)))


async def test_what_cannot_stand_in_a_text_of_postgresql_is_kept_all_the_same(queue: Queue) -> None:
    claim = await queue.running()
    strange = 'a\0b\ud7ff"\\\u2028'
    assert await queue.tasks.record(
        claim, [Entry("log", {"text": strange}), Entry("progress", {"progress": 7, "message": strange})]
    )
    await queue.tasks.finish(claim, BROKEN)
    events = await _all_so_far(queue, claim.id)
    assert events[2].data["text"] == strange
    assert (await queue.tasks.task(MEMBER, claim.id)).message == strange.replace("\0", "")


async def _all_so_far(queue: Queue, id: str) -> list[Event]:
    return await queue.store.events(MEMBER, id, 0, 100)


async def _silence(times: int) -> AsyncIterator[Event | End | None]:
    for _ in range(times):
        yield None
    yield End("completed")


async def test_silence_is_broken_by_comments() -> None:
    frames = [frame async for frame in server_sent(_silence(3), asyncio.Event(), heartbeat=0)]
    assert frames == [b": still here\n\n"] * 3 + [b'event: end\ndata: {"status":"completed"}\n\n']
    assert len([frame async for frame in server_sent(_silence(3), asyncio.Event())]) == 1


async def test_a_stopping_server_lets_go_of_its_streams() -> None:
    stopping = asyncio.Event()
    stopping.set()
    assert [frame async for frame in server_sent(_silence(3), stopping, heartbeat=0)] == []


@given(text=st.text())
def test_whatever_a_task_says_stays_one_frame(text: str) -> None:
    said = frame(Event(7, "log", 1, datetime(2026, 1, 1, tzinfo=UTC), {"text": text})).decode()
    assert said.startswith("id: 7\nevent: log\ndata: {")
    assert said.count("\n") == 4
    assert "\r" not in said
