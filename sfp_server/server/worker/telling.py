"""What an attempt says, told to the queue in batches and in order, through times when PostgreSQL is away."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar

from sfp_server.server.db import Unavailable
from sfp_server.server.tasks.model import Claim, Entry
from sfp_server.server.tasks.service import Tasks

T = TypeVar("T")

_BATCH: Final = 100  # entries
_PACE: Final = 0.2  # seconds that an entry may wait
_MOST_LINES: Final = 50_000  # of one attempt
_MOST_TEXT: Final = 16 << 20  # characters of one attempt


class Stale(Exception):
    """Somebody else has the task, or it is over: nothing that this attempt says is heard."""


class Telling:
    """The voice of one claim. A caller waits while a full batch is written, and so does the sandbox behind it."""

    def __init__(self, claim: Claim, tasks: Tasks) -> None:
        self._claim = claim
        self._tasks = tasks
        self._entries: list[Entry] = []
        self._writing = asyncio.Lock()
        self._pacing: asyncio.Task[None] | None = None
        self._stale = False
        self._lines_left = _MOST_LINES
        self._text_left = _MOST_TEXT

    async def log(self, text: str, stream: str) -> None:
        """A line, in its place; after 50,000 lines or 16 MiB one that says so, and no more."""
        if self._lines_left <= 0 or self._text_left <= 0:
            return
        self._lines_left -= 1
        self._text_left -= len(text)
        await self._add("log", {"text": text, "stream": stream})
        if self._lines_left <= 0 or self._text_left <= 0:
            await self._add("log", {"text": "The log is full; what follows is not kept.", "stream": "err"})

    async def progress(self, percent: int, message: str) -> None:
        """How far it is; of several in one batch the last is enough."""
        if self._entries and self._entries[-1].kind == "progress":
            self._entries.pop()
        await self._add("progress", {"progress": percent, "message": message})

    async def flush(self) -> None:
        """Return when all of it is written. `Stale` where it is not wanted."""
        async with self._writing:
            batch, self._entries = self._entries, []
            if batch and not await patiently(lambda: self._tasks.record(self._claim, batch)):
                self._stale = True
        if self._stale:
            raise Stale

    async def close(self) -> None:
        """Nothing more will be said."""
        if self._pacing:
            self._pacing.cancel()
            await asyncio.wait({self._pacing})

    async def _add(self, kind: Literal["log", "progress"], data: Mapping[str, Any]) -> None:
        self._entries.append(Entry(kind, data, datetime.now(UTC)))
        if len(self._entries) >= _BATCH or self._stale:
            await self.flush()
        elif self._pacing is None or self._pacing.done():
            self._pacing = asyncio.create_task(self._flush_soon())

    async def _flush_soon(self) -> None:
        await asyncio.sleep(_PACE)
        try:
            await self.flush()
        except Stale:
            return  # whoever speaks next is told


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Ask until PostgreSQL answers, ever more slowly up to every two seconds."""
    pause = 0.1
    while True:
        try:
            return await call()
        except Unavailable:
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)
