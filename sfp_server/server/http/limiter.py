"""How many requests are welcome: the generic cell rate algorithm, one number a bucket, in Redis for all API processes.

While Redis is away each process counts for itself: it limits less exactly, but it limits.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil

from redis.asyncio import Redis
from redis.exceptions import RedisError

_LOG = logging.getLogger("sfp.limit")
_MOST_BUCKETS = 10_000
_RETRY_REDIS_AFTER = 1.0  # seconds

# All times in microseconds. KEYS: bucket. ARGV: interval, window, cost. The same arithmetic as `gcra` below.
_LUA = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local after = due + interval * cost
local allowed = after - now <= window
if allowed and cost > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
  due = after
end
return {allowed and 1 or 0, due - now}
"""


@dataclass(frozen=True)
class Policy:
    """`burst` requests at once, and then one every `interval` seconds."""

    name: str
    burst: int
    interval: float

    @property
    def window(self) -> float:
        """Seconds until an emptied bucket is full again."""
        return self.burst * self.interval


@dataclass(frozen=True)
class Verdict:
    """Whether a request is welcome, and how full its bucket is: `used` of the policy's window, in seconds."""

    policy: Policy
    allowed: bool
    used: float

    @property
    def remaining(self) -> int:
        """How many more requests are welcome now."""
        return int((self.policy.window - self.used) / self.policy.interval + 1e-6)

    @property
    def retry_after(self) -> int:
        """Whole seconds until one more is welcome."""
        return max(0, ceil(self.used + self.policy.interval - self.policy.window))

    @property
    def reset(self) -> int:
        """Whole seconds until all of it is."""
        return ceil(self.used)


def gcra(due: float, now: float, policy: Policy, cost: int) -> tuple[bool, float]:
    """Whether `cost` requests conform, and when the bucket will be full again (`due` when it was stored)."""
    due = max(due, now)
    after = due + policy.interval * cost
    allowed = after - now <= policy.window + 1e-9
    return (True, after) if allowed else (False, due)


class LocalLimiter:
    """Buckets of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}

    async def take(self, bucket: str, policy: Policy, cost: int = 1) -> Verdict:
        """Take `cost` from a bucket if it has them; with none, only look."""
        now = self._clock()
        allowed, due = gcra(self._due.pop(bucket, 0.0), now, policy, cost)
        if due > now:
            self._make_room(now)
            self._due[bucket] = due
        return Verdict(policy, allowed, due - now)

    def _make_room(self, now: float) -> None:
        if len(self._due) >= _MOST_BUCKETS:
            self._due = {bucket: due for bucket, due in self._due.items() if due > now}
        while len(self._due) >= _MOST_BUCKETS:
            del self._due[next(iter(self._due))]  # the one that was longest without a request


class Limiter:
    """Buckets in Redis, or of this process while Redis does not answer."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._script: Callable[..., Awaitable[list[int]]] = redis.register_script(_LUA)
        self._local = LocalLimiter(clock)
        self._clock = clock
        self._away_until = 0.0

    async def take(self, bucket: str, policy: Policy, cost: int = 1) -> Verdict:
        """Take `cost` from a bucket if it has them; with none, only look."""
        if self._clock() < self._away_until:
            return await self._local.take(bucket, policy, cost)
        try:
            verdict = await self._shared(bucket, policy, cost)
        except (RedisError, OSError) as error:
            self._lost(error)
            return await self._local.take(bucket, policy, cost)
        self._found()
        return verdict

    async def _shared(self, bucket: str, policy: Policy, cost: int) -> Verdict:
        arguments = [round(policy.interval * 1e6), round(policy.window * 1e6), cost]
        allowed, used = await self._script(keys=[f"sfp:limit:{policy.name}:{bucket}"], args=arguments)
        return Verdict(policy, bool(allowed), used / 1e6)

    def _lost(self, error: Exception) -> None:
        if not self._away_until:
            _LOG.warning(
                "Redis is away: rate limits are counted in this process", extra={"fields": {"cause": str(error)}}
            )
        self._away_until = self._clock() + _RETRY_REDIS_AFTER

    def _found(self) -> None:
        if self._away_until:
            _LOG.info("Redis is back: rate limits are shared again")
        self._away_until = 0.0
