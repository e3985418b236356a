"""Who is turned away, when, and that Redis and this process count alike."""

import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from redis.asyncio import Redis

from sfp_server.server.app import create_app
from sfp_server.server.auth import token
from sfp_server.server.http.limiter import Limiter, LocalLimiter, Policy, gcra
from sfp_server.server.services import Services
from tests.server.conftest import calling
from tests.server.programs import REDIS_PASSWORD, RedisServer

pytestmark = pytest.mark.anyio

FIVE = Policy("five", 5, 60.0)


@pytest.fixture
async def own_redis() -> AsyncIterator[tuple[RedisServer, Redis]]:
    server = RedisServer.create()
    server.start()
    client = Redis.from_url(server.url, password=REDIS_PASSWORD, socket_timeout=0.5)
    yield server, client
    await client.aclose()
    server.remove()


async def test_a_burst_then_no_more(services: Services) -> None:
    verdicts = [await services.limiter.take("a", FIVE) for _ in range(7)]
    assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False] * 2
    assert [verdict.remaining for verdict in verdicts] == [4, 3, 2, 1, 0, 0, 0]
    assert 55 < verdicts[-1].retry_after <= 60
    assert (await services.limiter.take("b", FIVE)).allowed
    assert not (await services.limiter.take("a", FIVE, 0)).remaining


async def test_while_redis_is_away_this_process_counts_and_says_so_once(
    own_redis: tuple[RedisServer, Redis], caplog: pytest.LogCaptureFixture
) -> None:
    server, client = own_redis
    now = 0.0
    limiter = Limiter(client, lambda: now)
    server.kill()
    assert [(await limiter.take("a", FIVE)).allowed for _ in range(7)] == [True] * 5 + [False] * 2
    now += 2
    await limiter.take("a", FIVE)
    assert [record.message for record in caplog.records if record.name == "sfp.limit"] == [
        "Redis is away: rate limits are counted in this process"
    ]
    server.start()
    now += 2
    with caplog.at_level(logging.INFO):
        assert (await limiter.take("a", FIVE)).remaining == 4
    assert caplog.records[-1].message == "Redis is back: rate limits are shared again"


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 3)), max_size=40), st.integers(1, 8), st.floats(0.5, 10))
def test_never_more_than_the_burst_and_the_rate(steps: list[tuple[float, int]], burst: int, interval: float) -> None:
    policy, now, due = Policy("p", burst, interval), 0.0, 0.0
    taken: list[tuple[float, int]] = []
    for wait, cost in steps:
        now += wait
        allowed, due = gcra(due, now, policy, cost)
        if allowed:
            taken.append((now, cost))
    for start in range(len(taken)):
        for end in range(start, len(taken)):
            span = taken[end][0] - taken[start][0]
            assert sum(cost for _, cost in taken[start : end + 1]) <= burst + span / interval + 1e-6


async def test_both_count_alike(services: Services) -> None:
    local = LocalLimiter(lambda: 1000.0)
    slow = Policy("slow", 4, 3600.0)  # so slow that the time that Redis takes does not count
    for cost in (1, 2, 2, 0, 1, 1):
        ours, theirs = await local.take("x", slow, cost), await services.limiter.take("x", slow, cost)
        assert (ours.allowed, ours.remaining) == (theirs.allowed, theirs.remaining)


@pytest.fixture
async def narrow(services: Services) -> Litestar:
    """An API that takes one request a second from a token, after five at once."""
    return create_app(replace(services, settings=replace(services.settings, rate_limit=1)))


async def test_a_token_over_its_rate_gets_a_problem_that_says_when(narrow: Litestar, owner: Mapping[str, str]) -> None:
    async with calling(narrow) as client:
        answers = [await client.get("ping", headers=owner) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[0].headers["ratelimit-policy"] == '"token";q=5;w=5'
    assert answers[0].headers["ratelimit"] == '"token";r=4;t=1'
    assert answers[5].headers["retry-after"] == "1"
    assert answers[5].json()["type"] == "urn:sfp:problem:rate-limited"
    assert answers[5].headers["x-request-id"]


async def test_addresses_are_counted_apart(narrow: Litestar) -> None:
    async with calling(narrow) as one, calling(narrow, "192.0.2.2") as other:
        answers = [await one.get("no/such/thing") for _ in range(61)]
        assert [answer.status_code for answer in answers[-2:]] == [404, 429]
        assert (await other.get("ping")).status_code == 200


async def test_guessing_tokens_ends_soon_and_hurts_only_the_guesser(
    client: httpx.AsyncClient, app: Litestar, owner: Mapping[str, str]
) -> None:
    assert (await client.get("application-tokens", headers=owner)).status_code == 200
    guesses = [{"Authorization": f"Bearer {token.new_token()}"} for _ in range(12)]
    statuses = [(await client.get("ping", headers=guess)).status_code for guess in guesses]
    assert statuses == [401] * 10 + [429] * 2
    assert (await client.get("application-tokens", headers=owner)).status_code == 200
    async with calling(app, "192.0.2.2") as other:
        assert (await other.get("ping", headers=guesses[-1])).status_code == 401


async def test_a_token_that_nobody_verified_counts_for_its_address(narrow: Litestar) -> None:
    async with calling(narrow) as client:
        guesses = [{"Authorization": f"Bearer {token.new_token()}"} for _ in range(61)]
        answers = [await client.get("no/such/thing", headers=guess) for guess in guesses]
    assert [answer.status_code for answer in answers[-2:]] == [404, 429]
    assert answers[-1].headers["ratelimit-policy"].startswith('"address"')


async def test_a_token_is_not_trusted_for_an_address_that_is_none(client: httpx.AsyncClient) -> None:
    guesses = [{"Authorization": f"Bearer {token.new_token()}"} for _ in range(11)]
    for guess in guesses:
        await client.get("no/such/thing", headers=guess)
    assert [(await client.get("ping", headers=guess)).status_code for guess in guesses] == [401] * 10 + [429]
