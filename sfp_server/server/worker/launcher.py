"""The launcher: the only one who makes sandboxes. It does three things for who may open its socket, by fixed templates:
launch a known type of task, kill a sandbox of its own, list them."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from sfp_server.errors import SfpError
from sfp_server.server.worker import wire
from sfp_server.server.worker.sandbox import Exit, Key, Limits, Order, Sandbox, Sandboxes

Say = Callable[..., None]
_STARTED: Final = "sandbox started"


@dataclass(frozen=True)
class Rules:
    """What the launcher agrees to: dispatchers of its own version, these types, so many sandboxes at once."""

    version: str
    types: Collection[str]
    most: int


class Launcher:
    """Serves one unix socket. `say` takes an event's name and fields: the log."""

    def __init__(self, sandboxes: Sandboxes, rules: Rules, say: Say) -> None:
        self._sandboxes = sandboxes
        self._rules = rules
        self._say = say
        self._running: dict[Key, Sandbox] = {}
        self._places = asyncio.Semaphore(rules.most)

    async def serve(self, socket: Path, stop: asyncio.Event) -> None:
        """Until `stop`; then every sandbox is killed."""
        async with self._sandboxes.opened() as isolation:
            socket.unlink(missing_ok=True)  # whoever had it is gone: the sandboxes' folder is ours alone
            mask = os.umask(0o177)
            server = await asyncio.start_unix_server(self._connection, socket, limit=wire.LONGEST_REQUEST)
            os.umask(mask)
            self._say("launcher ready", socket=str(socket), isolation=isolation, most=self._rules.most)
            async with server:
                await stop.wait()
            self._say("launcher stopping", sandboxes=len(self._running))
        socket.unlink(missing_ok=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            try:
                await self._answer(wire.request(await reader.readline()), reader, writer)
            except (wire.Malformed, ValueError) as error:  # ValueError: a line beyond the limit
                writer.write(wire.line({"error": str(error)}))
            await writer.drain()
        writer.close()

    async def _answer(
        self, asked: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if asked["op"] == "launch":
            return await self._launch(asked, reader, writer)
        answers: dict[str, Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]] = {
            "kill": self._kill,
            "list": self._list,
            "ping": self._ping,
        }
        writer.write(wire.line(await answers[asked["op"]](asked)))

    async def _ping(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"version": self._rules.version, "sandboxes": len(self._running), "most": self._rules.most}

    async def _list(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"items": [{"task": task, "lease": lease} for task, lease in self._running]}

    async def _kill(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        sandbox = self._running.get((asked["task"], asked["lease"]))
        if sandbox:
            await sandbox.kill(asked["grace"])
        return {"killed": sandbox is not None}

    async def _launch(
        self, asked: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        refusal = self._refusal(asked)
        if refusal:
            return writer.write(_refused(refusal))
        async with self._places:
            try:
                sandbox = await self._sandboxes.launch(_order(asked))
            except (SfpError, OSError) as error:
                self._say("sandbox refused", task=asked["task"], lease=asked["lease"], error=str(error))
                return writer.write(_refused(f"no sandbox could be started: {error}"))
            await self._run(sandbox, reader, writer)

    def _refusal(self, asked: Mapping[str, Any]) -> str:
        rules = self._rules
        if asked["version"] != rules.version:
            return f"the launcher is {rules.version}, the dispatcher {asked['version']}"
        if asked["type"] not in rules.types or asked["document"].get("type") != asked["type"]:
            return f"the launcher knows no type {asked['type']}"
        if len(json.dumps(asked["document"])) > wire.LARGEST_DOCUMENT:
            return "the task is larger than 4 MiB"
        return "all sandboxes are taken" if self._places.locked() else ""

    async def _run(self, sandbox: Sandbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay until it ended; without somebody to hear it, it must not go on."""
        order = sandbox.order
        self._running[order.key] = sandbox
        self._say(_STARTED, task=order.task, lease=order.lease)
        leaving = asyncio.ensure_future(_when_closed(reader, sandbox))
        try:
            with contextlib.suppress(ConnectionError):
                await asyncio.gather(_relay("o", sandbox.stdout, writer), _relay("e", sandbox.stderr, writer))
        finally:
            leaving.cancel()
            ended = await self._ended(sandbox, writer)
            self._say("sandbox ended", task=order.task, lease=order.lease, **asdict(ended))
        writer.write(wire.encoded("x", json.dumps(asdict(ended)).encode()))

    async def _ended(self, sandbox: Sandbox, writer: asyncio.StreamWriter) -> Exit:
        """The streams have ended: either it did too, or nobody listens any more."""
        if writer.transport.is_closing():
            await sandbox.kill(0)
        ended = await sandbox.ended()
        del self._running[sandbox.order.key]
        return ended


async def serve(launcher: Launcher, socket: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await launcher.serve(socket, stop)


def _order(asked: Mapping[str, Any]) -> Order:
    document = json.dumps(asked["document"]).encode()
    return Order(asked["task"], asked["lease"], document, Limits(**asked["limits"]))


def _refused(message: str) -> bytes:
    body = {"code": None, "signal": None, "reason": "refused", "message": message}
    return wire.encoded("x", json.dumps(body).encode())


async def _relay(kind: wire.Kind, source: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """No more than the other side takes: where it does not read, the sandbox waits."""
    while chunk := await source.read(wire.LARGEST_FRAME):
        writer.write(wire.encoded(kind, chunk))
        await writer.drain()


async def _when_closed(reader: asyncio.StreamReader, sandbox: Sandbox) -> None:
    """Kill it when the dispatcher leaves, or breaks the silence that was agreed on."""
    with contextlib.suppress(ConnectionError):
        await reader.read(1)
    await sandbox.kill(0)
