"""The dispatcher's side of the launcher's socket."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sfp_server.errors import SfpError
from sfp_server.server.worker import wire
from sfp_server.server.worker.sandbox import Limits

_PATIENCE: Final = 15.0  # seconds for an answer that takes no work


class LauncherGone(Exception):
    """The launcher does not answer, or went while it ran a sandbox; the sandbox went with it."""


@dataclass(frozen=True)
class Ended:
    """How a sandbox ended; `reason` is exited, killed, timeout, memory, pids, or refused: then none was started, and
    `message` says why."""

    code: int | None
    signal: int | None
    reason: str
    message: str = ""


@dataclass(frozen=True)
class Launch:
    """A sandbox that runs; it is killed where its connection is closed."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    async def frames(self) -> AsyncIterator[wire.Frame]:
        """What it says, to the last frame, `x`. `LauncherGone` where that never comes."""
        while True:
            with _gone():
                frame = await wire.read_frame(self._reader)
            yield frame
            if frame.kind == "x":
                return


class LauncherClient:
    """Asks the launcher behind a unix socket. `version` is the asking program's own."""

    def __init__(self, socket: Path, version: str) -> None:
        self._socket = socket
        self._version = version

    @contextlib.asynccontextmanager
    async def launch(self, task: str, lease: int, document: Mapping[str, Any], limits: Limits) -> AsyncIterator[Launch]:
        """Run one attempt; leaving the block ends its sandbox."""
        asked = {"op": "launch", "version": self._version, "task": task, "lease": lease, "type": document["type"]}
        told = {"memory": limits.memory, "pids": limits.pids, "timeout": limits.timeout}
        async with self._connected() as (reader, writer):
            with _gone():
                writer.write(wire.line({**asked, "limits": told, "document": document}))
                await writer.drain()
            yield Launch(reader, writer)

    async def kill(self, task: str, lease: int, grace: float) -> bool:
        """Ask a sandbox to end and end it after `grace` seconds; false: there was none."""
        asked = {"op": "kill", "task": task, "lease": lease, "grace": grace}
        return bool((await self._ask(asked, _PATIENCE + grace))["killed"])

    async def list(self) -> Any:
        """[{task, lease}]: the sandboxes that run."""
        return (await self._ask({"op": "list"}))["items"]

    async def greet(self) -> Mapping[str, Any]:
        """{version, sandboxes, most}. A `SfpError` where the launcher is of another version."""
        told = await self._ask({"op": "ping"})
        if told["version"] != self._version:
            raise SfpError(
                f"the launcher is {told['version']}, this dispatcher {self._version}", "Start both from one release."
            )
        return told

    async def _ask(self, asked: Mapping[str, Any], patience: float = _PATIENCE) -> Mapping[str, Any]:
        async with self._connected() as (reader, writer):
            with _gone():
                writer.write(wire.line(asked))
                answer = json.loads(await asyncio.wait_for(reader.readline(), patience))
        if "error" in answer:
            raise SfpError(f"the launcher refused: {answer['error']}")
        return dict(answer)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        with _gone():
            reader, writer = await asyncio.open_unix_connection(self._socket)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def ended(frame: wire.Frame) -> Ended:
    """The last frame, understood."""
    return Ended(**json.loads(frame.payload))


@contextlib.contextmanager
def _gone() -> Any:
    try:
        yield
    except (OSError, asyncio.IncompleteReadError, wire.Malformed, ValueError, TimeoutError) as error:
        raise LauncherGone(f"the launcher does not answer: {error or type(error).__name__}") from error
