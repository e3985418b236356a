"""The doorbell: Redis pub/sub that says "look now". What it says is never the truth and may be lost at any time.

Who waits also looks by itself once in a while, so that without Redis everything still happens, only later.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Final, Protocol

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

WORK: Final = "sfp:tasks"  # says the class of a task that became ready
CANCEL: Final = "sfp:cancel"  # says the id of an active task that is to be cancelled
TASK: Final = "sfp:task:"  # + id: something happened to that task

_PATIENCE: Final = 0.5  # seconds that a ring may take; a submit does not wait longer for Redis
_QUIET: Final = 1.0  # seconds without Redis before it is tried again
_BREATH: Final = 5.0  # seconds to listen at a time; without a number the client's own timeout would end the line
_MISSED: Final = ""  # what an ear hears when the line was down: anything may have been said
_GONE: Final = (RedisError, OSError, TimeoutError)


class Ear:
    """Listens on one channel. What is said between two waits is kept: nothing is missed meanwhile."""

    def __init__(self) -> None:
        self._said: deque[str] = deque(maxlen=1000)
        self._rung = asyncio.Event()

    def hear(self, text: str) -> None:
        self._said.append(text)
        self._rung.set()

    async def wait(self, timeout: float) -> list[str]:
        """What was said since the last wait, as soon as there is something; nothing after `timeout` seconds.
        An empty text stands for whatever was said while the line was down."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._rung.wait()
        self._rung.clear()
        said = list(self._said)
        self._said.clear()
        return said


class Bell(Protocol):
    """Where the queue rings and listens."""

    async def ring(self, channel: str, text: str) -> None:
        """Say something. Never fails and never takes long: it is only a hint."""
        ...

    def ear(self, channel: str) -> contextlib.AbstractContextManager[Ear]:
        """Listen on a channel from now on, until the block ends."""
        ...


class Doorbell:
    """The bell on Redis. One connection listens for the whole process, and comes back by itself when it was lost."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._ears: dict[str, set[Ear]] = {}
        self._deaf_until = 0.0
        self._listener: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Doorbell"]:
        """Open the line for the length of a block. Without it, rings go out and ears hear nothing."""
        self._listener = asyncio.create_task(self._listen())
        try:
            yield self
        finally:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener

    async def ring(self, channel: str, text: str) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._deaf_until:
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._redis.publish(channel, text)
        except _GONE:
            self._deaf_until = now + _QUIET

    @contextlib.contextmanager
    def ear(self, channel: str) -> Iterator[Ear]:
        ear = Ear()
        self._ears.setdefault(channel, set()).add(ear)
        try:
            yield ear
        finally:
            self._forget(channel, ear)

    def _forget(self, channel: str, ear: Ear) -> None:
        listeners = self._ears[channel]
        listeners.discard(ear)
        if not listeners:
            del self._ears[channel]

    async def _listen(self) -> None:
        while not _told_to_end():
            with contextlib.suppress(*_GONE):
                await self._follow()
                continue
            await asyncio.sleep(_QUIET)

    async def _follow(self) -> None:
        async with self._redis.pubsub() as line:
            await line.subscribe(WORK, CANCEL)
            await line.psubscribe(TASK + "*")
            self._wake_all()
            while not _told_to_end():
                await self._pass_on(line)

    def _wake_all(self) -> None:
        for listeners in self._ears.values():
            for ear in listeners:
                ear.hear(_MISSED)

    async def _pass_on(self, line: PubSub) -> None:
        message = await line.get_message(ignore_subscribe_messages=True, timeout=_BREATH)
        if message is None:
            return
        for ear in self._ears.get(_text(message["channel"]), ()):
            ear.hear(_text(message["data"]))


class Silence:
    """The bell of a process without Redis: nobody hears anything, and everybody looks by itself."""

    async def ring(self, channel: str, text: str) -> None:
        return None

    @contextlib.contextmanager
    def ear(self, channel: str) -> Iterator[Ear]:
        yield Ear()


def _told_to_end() -> bool:
    """Whether this task was cancelled: the client keeps a cancellation to itself that comes while it connects."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _text(said: bytes | str) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said
