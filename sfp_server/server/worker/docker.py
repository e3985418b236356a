"""Sandboxes as containers of a Docker Engine: one for each attempt, outside of every Compose project.

The document goes in over an attached standard input, what the task says comes out over an attached output; neither is
kept by the engine.
"""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import aiodocker
from aiodocker.containers import DockerContainer

from sfp_server.errors import SfpError
from sfp_server.server.worker import template
from sfp_server.server.worker.attached import LOST, Attached
from sfp_server.server.worker.sandbox import Exit, Key, Order, Reason, exit_of
from sfp_server.server.worker.template import Template

T = TypeVar("T")

SOCKET: Final = "unix:///var/run/docker.sock"
_PAUSE: Final = 0.5  # seconds until the engine is asked once more
_PATIENCE: Final = 10.0  # seconds for a kill to show
_UNREACHED: Final = 900  # aiodocker's own status: nobody behind the socket


class DockerSandbox:
    """A sandbox that is a container, started."""

    def __init__(self, order: Order, container: DockerContainer, attached: Attached) -> None:
        self.order = order
        self.id = container.id
        self.stdout = attached.readers["stdout"]
        self.stderr = attached.readers["stderr"]
        self._attached = attached
        self._container = container
        self._reason: Reason = "exited"
        self._condemned = asyncio.Event()
        self._exited = asyncio.ensure_future(_exit_code(container))
        self.over = asyncio.ensure_future(self._to_the_end())
        self._closing: asyncio.Future[None] | None = None

    async def kill(self, grace: float, reason: Reason = "killed") -> None:
        if not self._exited.done():
            self._blame(reason)
            if grace:
                await self._signal("SIGTERM")
                await asyncio.wait({self._exited}, timeout=grace)
            self._condemned.set()
        await self.ended()

    async def ended(self) -> Exit:
        return await asyncio.shield(self.over)

    def condemn(self, reason: Reason) -> None:
        """End it, without waiting for that."""
        self._blame(reason)
        self._condemned.set()

    def close(self) -> None:
        self._closing = asyncio.ensure_future(self._attached.close())

    def _blame(self, reason: Reason) -> None:
        """The first reason is the one that counts."""
        self._reason = reason if self._reason == "exited" else self._reason

    async def _to_the_end(self) -> Exit:
        await self._until_condemned()
        while not self._exited.done():
            self._blame("timeout")
            await self._signal("SIGKILL")
            await asyncio.wait({self._exited}, timeout=_PATIENCE)
        if await _ran_out_of_memory(self._container):
            self._blame("memory")
        await remove(self._container)
        return exit_of(self._exited.result(), self._reason)

    async def _until_condemned(self) -> None:
        condemned = asyncio.ensure_future(self._condemned.wait())
        first = asyncio.FIRST_COMPLETED
        await asyncio.wait({self._exited, condemned}, timeout=self.order.limits.timeout, return_when=first)
        condemned.cancel()

    async def _signal(self, name: str) -> None:
        with contextlib.suppress(aiodocker.DockerError, *LOST):
            await self._container.kill(signal=name)


class DockerSandboxes:
    """Sandboxes as containers by a fixed template."""

    def __init__(self, chosen: Template, socket: str = SOCKET) -> None:
        self.running: dict[Key, DockerSandbox] = {}
        self._template = chosen
        self._socket = socket
        self._starting: dict[Key, asyncio.Task[DockerSandbox]] = {}
        self._closed = False

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[str]:
        async with aiodocker.Docker(url=self._socket) as self._docker:
            await self._prepare()
            watching = asyncio.ensure_future(self._watch())
            try:
                yield "docker"
            finally:
                watching.cancel()
                await self._close()

    async def launch(self, order: Order) -> DockerSandbox:
        if self._closed or order.key in self.running or order.key in self._starting:
            why = "the launcher is stopping" if self._closed else f"lease {order.lease} has a sandbox already"
            raise SfpError(f"task {order.task}: {why}")
        self._starting[order.key] = asyncio.ensure_future(self._start(order))
        try:
            return await asyncio.shield(self._starting[order.key])
        finally:
            self._starting.pop(order.key)

    async def _start(self, order: Order) -> DockerSandbox:
        with _understood():
            try:
                sandbox = await self._started(order)
            except aiodocker.DockerError as error:
                if error.status != 404 or "network" not in error.message:
                    raise
                await self._make_networks()  # somebody tidied up while none was in use
                sandbox = await self._started(order)
        self.running[order.key] = sandbox
        sandbox.over.add_done_callback(lambda _: self.running.pop(order.key))
        return sandbox

    async def _started(self, order: Order) -> DockerSandbox:
        config = template.container(self._template, order)
        container = await self._docker.containers.create(config, name=template.name(self._template.tenant, order))
        attached = container.attach(stdout=True, stderr=True)
        try:
            await self._nowhere.connect({"Container": container.id})
            await attached.__aenter__()
            feeding = asyncio.ensure_future(_feed(container, order.document))
            await container.start()
        except BaseException:
            await attached.close()
            await remove(container)
            raise
        return DockerSandbox(order, container, Attached(attached, feeding))

    async def _close(self) -> None:
        self._closed = True
        if self._starting:
            await asyncio.wait({*self._starting.values()})
        await asyncio.gather(*(sandbox.kill(0) for sandbox in [*self.running.values()]))

    async def _watch(self) -> None:
        """A sandbox that had no memory left for one of its programs ends as a whole."""
        events: Any = self._docker.events  # without types
        told = json.dumps({"event": ["oom"], "label": [f"{template.TENANT}={self._template.tenant}"]})
        while True:
            heard = events.subscribe(filters=told)
            while (event := await heard.get()) is not None:
                self._condemn(event["Actor"]["ID"])
            with contextlib.suppress(aiodocker.DockerError, *LOST):  # why it came to its end
                await events.stop()
            await asyncio.sleep(_PAUSE)

    def _condemn(self, id: str) -> None:
        for sandbox in self.running.values():
            if sandbox.id == id:
                sandbox.condemn("memory")

    async def _prepare(self) -> None:
        """What every sandbox needs is there, and nothing of an earlier launcher's is."""
        with _understood():
            processors = (await self._docker.system.info())["NCPU"]
            self._template = replace(self._template, cpus=min(self._template.cpus, processors))
            await self._find_image()
            await self._remove_leftovers()
            await self._make_networks()

    async def _find_image(self) -> None:
        try:
            await self._docker.images.inspect(self._template.image)
        except aiodocker.DockerError as error:
            if error.status != 404:
                raise
            raise SfpError(
                f"the image of the sandboxes is not here: {self._template.image}",
                "Start the instance again: a start pulls it.",
            ) from None

    async def _remove_leftovers(self) -> None:
        labels = [f"{template.TENANT}={self._template.tenant}", template.TASK]
        found = await self._docker.containers.list(all=1, filters=json.dumps({"label": labels}))
        await asyncio.gather(*(remove(container) for container in found))

    async def _make_networks(self) -> None:
        for wanted in (template.network(self._template), template.nowhere()):
            await self._make(wanted)
        self._nowhere = await self._docker.networks.get(template.NOWHERE)

    async def _make(self, wanted: Mapping[str, Any]) -> None:
        there = await self._docker.networks.list(filters={"name": f"^{wanted['Name']}$"})
        if not there:
            await self._docker.networks.create({**wanted, "CheckDuplicate": True})
        elif not wanted["Options"].items() <= there[0]["Options"].items():
            raise SfpError(
                f"the network {wanted['Name']} does not keep sandboxes apart",
                f"Remove it, the launcher makes it anew: docker network rm {wanted['Name']}",
            )


async def remove(container: DockerContainer) -> None:
    """Remove it, running or not. What an engine in trouble keeps is removed at the next start."""
    with contextlib.suppress(aiodocker.DockerError):
        await _persistently(lambda: container.delete(force=True, v=True))


async def _feed(container: DockerContainer, document: bytes) -> None:
    """Give it its input; one that ended before it read shows in how it ended."""
    with contextlib.suppress(aiodocker.DockerError, *LOST):
        async with container.attach(stdin=True) as inlet:
            await inlet.write_in(document)


async def _exit_code(container: DockerContainer) -> int:
    """Return when it has exited; one that somebody removed was killed."""
    try:
        return int((await _persistently(container.wait))["StatusCode"])
    except aiodocker.DockerError:
        return 128 + signal.SIGKILL


async def _ran_out_of_memory(container: DockerContainer) -> bool:
    try:
        return bool((await _persistently(container.show))["State"]["OOMKilled"])
    except aiodocker.DockerError:
        return False


async def _persistently(call: Callable[[], Awaitable[T]]) -> T:
    """Ask again while the engine is away: it is being restarted."""
    while True:
        try:
            return await call()
        except aiodocker.DockerError as error:
            if error.status != _UNREACHED:
                raise
        except (*LOST, ValueError):  # ValueError: an answer that was cut off
            pass
        await asyncio.sleep(_PAUSE)


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """The engine's trouble in one sentence."""
    try:
        yield
    except (aiodocker.DockerError, *LOST) as error:
        if isinstance(error, aiodocker.DockerError) and error.status != _UNREACHED:
            raise SfpError(f"Docker refused: {error.message}") from error
        hint = "Is it running, and may the launcher open its socket?"
        raise SfpError(f"Docker does not answer: {error}", hint) from error
