"""The launcher: the only one who makes sandboxes. It does three things for who may open its socket, by fixed templates:
launch a known type of task, kill a sandbox of its own, list them."""

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from sfp_server import __version__
from sfp_server.errors import SfpError
from sfp_server.server import logs, settings
from sfp_server.server.worker import isolation, wire
from sfp_server.server.worker.bubblewrap import ProcessSandboxes
from sfp_server.server.worker.sandbox import Key, Limits, Order, Sandbox, Sandboxes
from sfp_server.server.worker.types import TYPES

Say = Callable[..., None]
Asked = Mapping[str, Any]  # a request, checked
_FAREWELL: Final = 2.0  # seconds
_MARGIN: Final = 4  # sandboxes beyond the slots: one that ends while its successor starts


@dataclass(frozen=True)
class Rules:
    """What the launcher agrees to: dispatchers of its own version, these types, so many sandboxes at once."""

    version: str
    types: Collection[str]
    most: int


def main(arguments: list[str]) -> int:
    """The program: serve until SIGTERM or SIGINT."""
    read = settings.load(os.environ, "launcher")
    logs.configure(read.log_level)
    if read.version != __version__:
        raise SfpError(
            f"this launcher is {__version__}, its settings are of {read.version}", "Start the instance again."
        )
    log = logging.getLogger("sfp.launcher")
    rules = Rules(__version__, TYPES, sum(read.workers.values()) + _MARGIN)
    launcher = Launcher(sandboxes(read, log.warning), rules, saying(log), read.launcher_group)
    asyncio.run(serve(launcher, read.launcher_socket))
    return 0


def sandboxes(read: settings.Settings, warn: Callable[[str], None]) -> Sandboxes:
    """Those of the kind that is set."""
    tenant = read.tenant or "instance"
    if read.sandbox == "process":
        return ProcessSandboxes(tenant, read.sandbox_dir, isolation.programs(read.toolchain), warn)
    if not read.sandbox_image:
        raise SfpError("settings: SFP_SANDBOX_IMAGE: is missing", "Sandboxes of the kind docker need an image.")
    from sfp_server.server.worker.docker import DockerSandboxes
    from sfp_server.server.worker.template import Template

    network = read.sandbox_network or f"sfp-{tenant}-sandbox"
    return DockerSandboxes(Template(tenant, read.sandbox_image, read.sandbox_cpus, network))


async def serve(launcher: "Launcher", socket: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await launcher.serve(socket, stop)


def saying(log: logging.Logger) -> Say:
    """A log as a function of an event's name and fields."""
    return lambda event, **fields: log.info(event, extra={"fields": fields})


class Launcher:
    """Serves one unix socket, to members of `group` too where there is one. `say` takes an event's name and fields:
    the log."""

    def __init__(self, sandboxes: Sandboxes, rules: Rules, say: Say, group: int | None = None) -> None:
        self._sandboxes = sandboxes
        self._rules = rules
        self._say = say
        self._group = group
        self._running: dict[Key, Sandbox] = {}
        self._places = asyncio.Semaphore(rules.most)
        self._talks: set[asyncio.Task[None]] = set()

    async def serve(self, socket: Path, stop: asyncio.Event) -> None:
        """Until `stop`; then every sandbox is killed."""
        async with self._sandboxes.opened() as isolation:
            server = await self._listen(socket)
            self._say("launcher ready", socket=str(socket), isolation=isolation, most=self._rules.most)
            await stop.wait()
            self._say("launcher stopping", sandboxes=len(self._running))
            server.close()
        if self._talks:  # each still has to say how its sandbox ended
            await asyncio.wait(self._talks, timeout=_FAREWELL)

    async def _listen(self, socket: Path) -> asyncio.Server:
        """Whoever had the socket is gone, for the sandboxes' folder is ours alone. It is never open to others,
        but to the group that was told."""
        await asyncio.to_thread(socket.unlink, missing_ok=True)
        mask = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._accept, socket, limit=wire.LONGEST_REQUEST)
        finally:
            os.umask(mask)
        if self._group is not None:
            os.chown(socket, -1, self._group)
            os.chmod(socket, 0o660)
        return server

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)
        with contextlib.suppress(ConnectionError):
            await self._answer(wire.Peer(reader, writer))
        writer.close()

    async def _answer(self, peer: wire.Peer) -> None:
        try:
            asked = wire.request(await peer.reader.readline())
        except (wire.Malformed, ValueError) as error:  # ValueError: a line beyond the limit
            return await peer.say(wire.line({"error": str(error)}))
        if asked["op"] == "launch":
            return await self._launch(asked, peer)
        await peer.say(
            wire.line(await {"kill": self._kill, "list": self._list, "ping": self._ping}[asked["op"]](asked))
        )

    async def _ping(self, asked: Asked) -> Mapping[str, Any]:
        return {"version": self._rules.version, "sandboxes": len(self._running), "most": self._rules.most}

    async def _list(self, asked: Asked) -> Mapping[str, Any]:
        return {"items": [{"task": task, "lease": lease} for task, lease in self._running]}

    async def _kill(self, asked: Asked) -> Mapping[str, Any]:
        sandbox = self._running.get((asked["task"], asked["lease"]))
        if sandbox:
            await sandbox.kill(asked["grace"])
        return {"killed": sandbox is not None}

    async def _launch(self, asked: Asked, peer: wire.Peer) -> None:
        if refusal := self._refusal(asked):
            return await peer.say(_refused(refusal))
        async with self._places:
            try:
                sandbox = await self._sandboxes.launch(_order(asked))
            except (SfpError, OSError) as error:
                return await peer.say(_refused(f"no sandbox could be started: {error}"))
            last = await self._run(sandbox, peer)
        await peer.say(last)  # its place is free when this is heard

    def _refusal(self, asked: Asked) -> str:
        rules = self._rules
        if asked["version"] != rules.version:
            return f"the launcher is {rules.version}, the dispatcher {asked['version']}"
        if asked["type"] not in rules.types or asked["document"].get("type") != asked["type"]:
            return f"the launcher knows no type {asked['type']}"
        if len(json.dumps(asked["document"])) > wire.LARGEST_DOCUMENT:
            return "the task is larger than 4 MiB"
        return "all sandboxes are taken" if self._places.locked() else ""

    async def _run(self, sandbox: Sandbox, peer: wire.Peer) -> bytes:
        """Relay until it ended; what nobody hears must not go on. The last frame."""
        task, lease = sandbox.order.key
        self._running[sandbox.order.key] = sandbox
        self._say("sandbox started", task=task, lease=lease)
        leaving = asyncio.ensure_future(_when_gone(peer, sandbox))
        try:
            peer.writer.write(wire.encoded("o", b""))  # it runs, whatever it has to say
            await _relayed(sandbox, peer)
            ended = await sandbox.ended()
        finally:
            leaving.cancel()
            sandbox.close()
            del self._running[sandbox.order.key]
        self._say("sandbox ended", task=task, lease=lease, **asdict(ended))
        return wire.encoded("x", json.dumps(asdict(ended)).encode())


def _order(asked: Mapping[str, Any]) -> Order:
    document = json.dumps(asked["document"]).encode()
    return Order(asked["task"], asked["lease"], document, Limits(**asked["limits"]))


def _refused(message: str) -> bytes:
    body = {"code": None, "signal": None, "reason": "refused", "message": message}
    return wire.encoded("x", json.dumps(body).encode())


async def _relayed(sandbox: Sandbox, peer: wire.Peer) -> None:
    """Both streams to their ends, or until the other side is gone."""
    try:
        await asyncio.gather(_relay("o", sandbox.stdout, peer), _relay("e", sandbox.stderr, peer))
    except ConnectionError:
        await sandbox.kill(0)


async def _relay(kind: wire.Kind, source: asyncio.StreamReader, peer: wire.Peer) -> None:
    """No more than the other side takes: where it does not read, the sandbox waits."""
    while chunk := await source.read(wire.LARGEST_FRAME):
        await peer.say(wire.encoded(kind, chunk))


async def _when_gone(peer: wire.Peer, sandbox: Sandbox) -> None:
    """Kill it when the dispatcher leaves, or breaks the silence that was agreed on."""
    with contextlib.suppress(ConnectionError):
        await peer.reader.read(1)
    await sandbox.kill(0)
