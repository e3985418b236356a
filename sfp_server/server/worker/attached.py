"""What a container says over an attached output: both streams, taken apart, and no faster than they are read."""

import asyncio
import contextlib
from typing import Final

import aiohttp
from aiodocker.stream import Stream

LOST: Final = (aiohttp.ClientError, OSError)
"""What aiodocker raises where the engine goes away in the middle of an answer."""

_BUFFER: Final = 64 * 1024  # bytes of one stream; when they are not read, the sandbox waits
_STREAMS: Final = {1: "stdout", 2: "stderr"}


class _Valve(asyncio.ReadTransport):
    """What a StreamReader holds on to when it has enough."""

    def __init__(self) -> None:
        super().__init__()
        self._open = asyncio.Event()
        self._open.set()

    def pause_reading(self) -> None:
        self._open.clear()

    def resume_reading(self) -> None:
        self._open.set()

    async def opened(self) -> None:
        await self._open.wait()


class Attached:
    """Both streams of a container, taken apart; no more is fetched than is read. And the feeding of its input."""

    def __init__(self, attached: Stream, feeding: asyncio.Future[None]) -> None:
        self._attached = attached
        self._feeding = feeding
        self._valves = {name: _Valve() for name in _STREAMS.values()}
        self.readers = {name: asyncio.StreamReader(_BUFFER) for name in _STREAMS.values()}
        for name, reader in self.readers.items():
            reader.set_transport(self._valves[name])
        self._flowing = asyncio.ensure_future(self._flow())

    async def close(self) -> None:
        self._flowing.cancel()
        self._feeding.cancel()
        await asyncio.wait({self._flowing, self._feeding})
        await self._attached.close()

    async def _flow(self) -> None:
        try:
            with contextlib.suppress(*LOST):
                while message := await self._attached.read_out():
                    name = _STREAMS[message.stream]
                    self.readers[name].feed_data(message.data)
                    await self._valves[name].opened()
        finally:
            for reader in self.readers.values():
                reader.feed_eof()
