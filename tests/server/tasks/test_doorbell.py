"""The doorbell on a real Redis, and what remains when it is gone: everything, only later."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from sfp_server.server.tasks.doorbell import CANCEL, TASK, WORK, Doorbell, Ear
from sfp_server.server.tasks.model import End
from tests.server.conftest import FreshDatabase
from tests.server.programs import REDIS_PASSWORD, RedisServer
from tests.server.tasks.harness import DONE, MEMBER, opened

pytestmark = pytest.mark.anyio


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    server = RedisServer.create()
    server.start()
    yield server
    server.remove()


@contextlib.asynccontextmanager
async def _bell(server: RedisServer) -> AsyncIterator[Doorbell]:
    client = Redis.from_url(server.url, password=REDIS_PASSWORD, socket_timeout=0.5)
    try:
        async with Doorbell(client).listening() as bell:
            with bell.ear(WORK) as ear:
                await ear.wait(5)  # the line is up
            yield bell
    finally:
        await client.aclose()


async def _heard(ear: Ear, timeout: float = 5) -> list[str]:
    async with asyncio.timeout(timeout):
        while not (said := await ear.wait(timeout)):
            pass
    return said


async def test_what_is_rung_is_heard_on_its_channel_only(redis: RedisServer) -> None:
    async with _bell(redis) as bell:
        with bell.ear(WORK) as work, bell.ear(TASK + "1") as one, bell.ear(TASK + "2") as two:
            await bell.ring(TASK + "1", "said")
            await bell.ring(WORK, "normal")
            assert await _heard(one) == ["said"]
            assert await _heard(work) == ["normal"]
            assert await two.wait(0) == []


async def test_a_long_silence_does_not_end_the_line(redis: RedisServer) -> None:
    async with _bell(redis) as bell:
        with bell.ear(WORK) as ear:
            assert await ear.wait(0.8) == []  # longer than the client's own timeout
            await bell.ring(WORK, "batch")
            assert await _heard(ear, 0.5) == ["batch"]


async def test_a_line_that_is_closed_while_it_opens_closes_at_once(redis: RedisServer) -> None:
    """The client keeps some cancellations to itself; a server that stops must not wait for ever because of it."""
    client = Redis.from_url(redis.url, password=REDIS_PASSWORD)
    async with asyncio.timeout(20):
        for turns in range(12):
            async with Doorbell(client).listening():
                for _ in range(turns):
                    await asyncio.sleep(0)
    await client.aclose()


async def test_ringing_without_redis_neither_fails_nor_waits(own_redis: RedisServer) -> None:
    async with _bell(own_redis) as bell:
        own_redis.kill()
        began = time.monotonic()
        for _ in range(50):
            await bell.ring(WORK, "normal")
        assert time.monotonic() - began < 2


async def test_the_line_comes_back_with_redis_and_wakes_everybody(own_redis: RedisServer) -> None:
    async with _bell(own_redis) as bell:
        with bell.ear(CANCEL) as ear:
            own_redis.kill()
            own_redis.start()
            assert await _heard(ear, 10) == [""]
            await bell.ring(CANCEL, "x")
            assert "x" in await _heard(ear)


async def test_work_is_found_at_once_with_the_bell_and_by_looking_without(
    own_redis: RedisServer, fresh_database: FreshDatabase
) -> None:
    async with _bell(own_redis) as bell, opened(fresh_database, bell=bell) as queue:
        assert await queue.tasks.claim("w", "normal") is None
        await queue.submit()
        began = time.monotonic()
        assert await queue.tasks.wait_for_work("normal", 5)
        assert time.monotonic() - began < 1
        assert await queue.tasks.claim("w", "normal")
        own_redis.kill()
        id = await queue.submit("batch")  # accepted, though nobody hears of it
        assert not await queue.tasks.wait_for_work("batch", 0.1)
        assert (await queue.tasks.claim("w", "batch") or pytest.fail("lost")).id == id


async def test_a_bell_for_lower_work_wakes_a_slot_above_and_not_one_below(
    redis: RedisServer, fresh_database: FreshDatabase
) -> None:
    async with _bell(redis) as bell, opened(fresh_database, bell=bell) as queue:
        for slot in ("critical", "batch"):
            await queue.tasks.claim("w", slot)
        await queue.submit("normal")
        assert await queue.tasks.wait_for_work("critical", 5)
        assert not await queue.tasks.wait_for_work("batch", 0.1)


async def test_a_cancel_reaches_the_dispatcher(redis: RedisServer, fresh_database: FreshDatabase) -> None:
    async with _bell(redis) as bell, opened(fresh_database, bell=bell) as queue:
        claim = await queue.running()
        cancellations = queue.tasks.cancellations()
        asked = asyncio.ensure_future(anext(cancellations))
        await asyncio.wait([asked], timeout=0.05)
        await queue.tasks.cancel(MEMBER, claim.id)
        assert await asyncio.wait_for(asked, 5) == claim.id
        await cancellations.aclose()  # type: ignore[attr-defined]


async def test_a_stream_without_redis_still_tells_everything(
    own_redis: RedisServer, fresh_database: FreshDatabase
) -> None:
    async with _bell(own_redis) as bell, opened(fresh_database, bell=bell) as queue:
        claim = await queue.running()
        following = queue.tasks.events(MEMBER, claim.id)
        assert await anext(following)
        own_redis.kill()
        await queue.tasks.finish(claim, DONE)
        async with asyncio.timeout(10):
            rest = [event async for event in following if event]
        assert rest[-1] == End("completed")
