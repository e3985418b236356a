"""A real launcher on a real socket, and what tests ask of it."""

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sfp_server import __version__
from sfp_server.server.worker import isolation, process, template
from sfp_server.server.worker.bubblewrap import MARK, ProcessSandboxes
from sfp_server.server.worker.docker import DockerSandboxes
from sfp_server.server.worker.launch import Ended, LauncherClient, ended
from sfp_server.server.worker.launcher import Launcher, Rules
from sfp_server.server.worker.sandbox import Limits, Sandboxes
from sfp_server.server.worker.template import Template
from sfp_server.server.worker.types import TYPES
from tests.e2e.machinery.docker import docker, remove

ROOMY = Limits(memory=1 << 30, pids=200, timeout=60)


@dataclass
class Heard:
    """All that a launch said."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    errors: str = ""
    end: Ended = field(default_factory=lambda: Ended(None, None, "none"))

    @property
    def lines(self) -> list[str]:
        return [message["log"] for message in self.messages if "log" in message]

    @property
    def result(self) -> Any:
        return next((message["result"] for message in self.messages if "result" in message), None)

    @property
    def error(self) -> dict[str, Any]:
        return next((message["error"] for message in self.messages if "error" in message), {})


@dataclass(frozen=True)
class Stand:
    """A launcher that runs, its folder, and a client of it."""

    folder: Path
    socket: Path
    client: LauncherClient
    mark: str
    isolation: str

    async def run(self, type: str, data: Any, limits: Limits = ROOMY, task: str = "t", lease: int = 1) -> Heard:
        """One attempt from its launch to its end."""
        out, heard = b"", Heard()
        async with self.client.launch(task, lease, {"type": type, "data": data}, limits) as launched:
            async for frame in launched.frames():
                out += frame.payload if frame.kind == "o" else b""
                heard.errors += frame.payload.decode() if frame.kind == "e" else ""
                heard.end = ended(frame) if frame.kind == "x" else heard.end
        parse(out, heard)
        return heard

    async def shell(self, script: str, limits: Limits = ROOMY, **more: Any) -> Heard:
        return await self.run("command", {"argv": ["sh", "-c", script], **more}, limits)

    async def busy(self) -> None:
        """Return when the launcher has a sandbox."""
        async with asyncio.timeout(15):
            while not await self.client.list():
                await asyncio.sleep(0.01)

    async def idle(self) -> None:
        """Return when the launcher has taken leave of every sandbox."""
        async with asyncio.timeout(15):
            while await self.client.list():
                await asyncio.sleep(0.01)

    def alive(self) -> list[int]:
        """Every process of this launcher's sandboxes."""
        return process.marked(MARK, self.mark)

    def processes(self) -> list[int]:
        """Every process that could be of a sandbox, with or without a mark."""
        return process.descendants(os.getpid())

    def left(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.is_dir()]


@dataclass(frozen=True)
class DockerStand(Stand):
    """The same with containers."""

    def alive(self) -> list[int]:
        return [int(pid) for pid in self._told("{{.State.Pid}}") if pid != "0"]

    def processes(self) -> list[int]:
        first = self.alive()
        return first + [pid for one in first for pid in process.descendants(one)]

    def left(self) -> list[Path]:
        return [Path(name) for name in self._told("{{.Name}}")]

    def _told(self, what: str) -> list[str]:
        """Of every container of this launcher; one that goes while we look is gone."""
        found = docker("ps", "--all", "--quiet", "--filter", f"label={template.TENANT}={self.mark}").split()
        asked = ["docker", "inspect", "--format", what, *found]
        return subprocess.run(asked, capture_output=True, text=True).stdout.split() if found else []


def parse(out: bytes, heard: Heard) -> None:
    while out:
        line, _, out = out.partition(b"\n")
        message = json.loads(line)
        heard.messages.append(message)
        if "file" in message:
            heard.files[message["file"]], out = out[: message["size"]], out[message["size"] :]


@contextlib.asynccontextmanager
async def standing(
    folder: Path,
    plain: bool = False,
    toolchain: Path | None = None,
    most: int = 8,
    version: str = __version__,
    group: int | None = None,
) -> AsyncIterator[Stand]:
    """A launcher in this process, for the length of a block."""
    programs = isolation.programs(toolchain)
    programs = replace(programs, bubblewrap=None) if plain else programs
    sandboxes = ProcessSandboxes("stand", folder / "sandboxes", programs, lambda text: None)
    async with _serving(sandboxes, folder, Rules(version, TYPES, most), group) as (client, kind):
        yield Stand(folder / "sandboxes", folder / "launcher.sock", client, sandboxes.mark, kind)


@contextlib.asynccontextmanager
async def standing_in_docker(
    folder: Path, image: str, most: int = 8, version: str = __version__
) -> AsyncIterator[DockerStand]:
    """A launcher in this process, its sandboxes in Docker; nothing of it is left."""
    tenant = f"test-{secrets.token_hex(4)}"
    chosen = Template(tenant, image, 2, f"sfp-{tenant}-sandbox")
    try:
        async with _serving(DockerSandboxes(chosen), folder, Rules(version, TYPES, most)) as (client, kind):
            yield DockerStand(folder, folder / "launcher.sock", client, tenant, kind)
    finally:
        remove("network", chosen.network)


@contextlib.asynccontextmanager
async def _serving(
    sandboxes: Sandboxes, folder: Path, rules: Rules, group: int | None = None
) -> AsyncIterator[tuple[LauncherClient, str]]:
    log: dict[str, Any] = {}
    launcher = Launcher(sandboxes, rules, lambda event, **fields: log.update({event: fields}), group)
    socket, stop = folder / "launcher.sock", asyncio.Event()
    serving = asyncio.create_task(launcher.serve(socket, stop))
    await soon(lambda: "launcher ready" in log or serving.done())
    if serving.done():
        await serving
    try:
        yield LauncherClient(socket, __version__), log["launcher ready"]["isolation"]
    finally:
        stop.set()
        await serving


async def soon(check: Callable[[], object], timeout: float = 15) -> None:
    """`eventually`, for coroutines."""
    async with asyncio.timeout(timeout):
        while not check():
            await asyncio.sleep(0.01)
