"""A real Caddy with a rendered Caddyfile, on free ports of this machine."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.golden.compose_cases import CASES, bundle
from tests.golden.conftest import caddy

__all__ = ["caddy"]


@dataclass(frozen=True)
class Edge:
    """Caddy at `url`, with its files in `folder`."""

    program: str
    folder: Path
    url: str

    async def turn_to(self, port: int) -> None:
        """What a switch does: name the one that serves, and have Caddy read it."""
        (self.folder / "upstream.caddy").write_text(f"to 127.0.0.1:{port}\n")
        await self._ran("reload", "--config", "Caddyfile")

    async def _ran(self, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            self.program, *arguments, cwd=self.folder, stderr=asyncio.subprocess.PIPE, env=_environment(self.folder)
        )
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()


@asynccontextmanager
async def edge(program: str, folder: Path, case: str, upstream: int, store: int = 1) -> AsyncIterator[Edge]:
    """The edge of a golden case: only its addresses are those of a test."""
    plain, health = _free(), _free()
    files = bundle(CASES[case]).files
    text = files["Caddyfile"].decode()
    for ours, theirs in {
        "http://:3029": f"http://:{plain}",
        "http://127.0.0.1:2020": f"http://127.0.0.1:{health}",
        "unix//run/caddy/admin.sock": f"unix/{folder}/admin.sock",
        "minio:9000": f"127.0.0.1:{store}",
    }.items():
        text = text.replace(ours, theirs)
    (folder / "Caddyfile").write_text(text)
    (folder / "upstream.caddy").write_text(f"to 127.0.0.1:{upstream}\n")
    process = await asyncio.create_subprocess_exec(
        program, "run", "--config", "Caddyfile", cwd=folder, stderr=asyncio.subprocess.PIPE, env=_environment(folder)
    )
    try:
        await _healthy(process, f"http://127.0.0.1:{health}/healthy")
        yield Edge(program, folder, f"http://127.0.0.1:{plain}")
    finally:
        process.kill()
        (folder / "caddy.log").write_bytes((await process.communicate())[1])


async def _healthy(process: asyncio.subprocess.Process, url: str) -> None:
    async with asyncio.timeout(20), httpx.AsyncClient() as client:
        while process.returncode is None:
            try:
                if (await client.get(url)).text == "ok":
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.02)
    raise AssertionError(f"Caddy ended: {(await process.communicate())[1].decode()}")


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
