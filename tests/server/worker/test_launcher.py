"""The launcher's socket: what it agrees to, and what it refuses in one sentence."""

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from sfp_server import __version__
from sfp_server.errors import SfpError
from sfp_server.server.settings import Settings
from sfp_server.server.worker import process, wire
from sfp_server.server.worker.launch import LauncherClient, LauncherGone
from sfp_server.server.worker.launcher import sandboxes
from tests.server.worker.stand import ROOMY, Stand, standing

pytestmark = pytest.mark.anyio

LAUNCH = {
    "op": "launch",
    "version": __version__,
    "task": "t",
    "lease": 1,
    "type": "ping",
    "limits": {"memory": 1 << 30, "pids": 100, "timeout": 10},
    "document": {"type": "ping"},
}


async def test_it_says_who_it_is_and_what_runs(stand: Stand) -> None:
    assert await stand.client.greet() == {"version": __version__, "sandboxes": 0, "most": 8}
    async with stand.client.launch("t", 7, {"type": "command", "data": {"argv": ["sleep", "60"]}}, ROOMY):
        await stand.busy()
        assert await stand.client.list() == [{"task": "t", "lease": 7}]
    await stand.idle()
    assert stand.alive() == []
    assert await stand.client.kill("t", 7, 0) is False


async def test_only_its_owner_may_open_the_socket(stand: Stand) -> None:
    assert stat.S_IMODE(stand.socket.stat().st_mode) == 0o600


async def test_a_group_may_open_the_socket_where_told(tmp_path: Path) -> None:
    async with standing(tmp_path, group=os.getgid()) as stand:
        found = stand.socket.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, os.getgid())


def test_sandboxes_in_docker_need_an_image(tmp_path: Path) -> None:
    with pytest.raises(SfpError, match="SFP_SANDBOX_IMAGE"):
        sandboxes(Settings(sandbox="docker"), print)
    image = "registry/worker@sha256:" + "0" * 64
    assert type(sandboxes(Settings(sandbox="docker", sandbox_image=image), print)).__name__ == "DockerSandboxes"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (b"hello", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "names no known op"),
        (json.dumps({"op": "run"}).encode(), "names no known op"),
        (json.dumps({"op": "list", "all": True}).encode(), "must have nothing more"),
        (json.dumps({**LAUNCH, "privileged": True}).encode(), "the request must have"),
        (json.dumps({**LAUNCH, "limits": {"memory": 1}}).encode(), "limits must have"),
        (json.dumps({**LAUNCH, "lease": True}).encode(), "lease is of another type"),
        (json.dumps({**LAUNCH, "lease": -1}).encode(), "lease is out of range"),
        (json.dumps({**LAUNCH, "task": "../x"}).encode(), "names no task"),
        (b'"' + b"x" * (9 << 20), "limit"),
    ],
)
async def test_a_malformed_request_is_refused(strict: Stand, request_: bytes, words: str) -> None:
    assert words in (await _asked(strict.socket, request_ + b"\n"))["error"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "0.0.1"}, f"the launcher is {__version__}, the dispatcher 0.0.1"),
        ({"type": "shell", "document": {"type": "shell"}}, "knows no type shell"),
        ({"document": {"type": "command"}}, "knows no type ping"),
        ({"document": {"type": "ping", "data": {"echo": "x" * (5 << 20)}}}, "larger than 4 MiB"),
    ],
)
async def test_a_launch_that_is_not_allowed_is_refused(strict: Stand, change: dict[str, Any], words: str) -> None:
    reader, writer = await asyncio.open_unix_connection(strict.socket)
    writer.write(json.dumps({**LAUNCH, **change}).encode() + b"\n")
    frame = await wire.read_frame(reader)
    told = json.loads(frame.payload)
    assert (frame.kind, told["reason"]) == ("x", "refused")
    assert words in told["message"]
    writer.close()


async def test_a_document_of_four_mebibytes_is_taken(strict: Stand) -> None:
    echo = "x" * (4 * 1024 * 1024 - 200)
    assert (await strict.run("ping", {"echo": echo})).result["echo"] == echo


async def test_no_more_sandboxes_than_it_may(tmp_path: Path) -> None:
    async with standing(tmp_path, most=1) as stand:
        async with stand.client.launch("a", 1, {"type": "command", "data": {"argv": ["sleep", "60"]}}, ROOMY):
            await stand.busy()
            refused = await stand.run("ping", {}, task="b")
            assert (refused.end.reason, refused.end.message) == ("refused", "all sandboxes are taken")
        await stand.idle()
        assert (await stand.run("ping", {}, task="b")).end.code == 0


async def test_one_sandbox_a_lease(stand: Stand) -> None:
    async with stand.client.launch("t", 1, {"type": "command", "data": {"argv": ["sleep", "60"]}}, ROOMY):
        await stand.busy()
        again = await stand.run("ping", {})
        assert again.end.reason == "refused"
        assert "already" in again.end.message
        assert stand.alive()


async def test_a_sandbox_waits_for_who_does_not_read(stand: Stand) -> None:
    """Otherwise a task that writes without end would fill the launcher's memory."""
    script = "head -c 40M /dev/zero | tr '\\0' x | fold -w 60000; echo done"
    flood = {"type": "command", "data": {"argv": ["sh", "-c", script]}}
    async with stand.client.launch("t", 1, flood, ROOMY) as launched:
        frames = launched.frames()
        await anext(frames)
        held = process.memory([os.getpid()])
        for _ in range(100):  # a hundred turns of the loop in which we do not read
            await asyncio.sleep(0.01)
        assert process.memory([os.getpid()]) - held < 16 << 20
        assert b"done" in b"".join([frame.payload async for frame in frames])[-1000:]


async def test_a_launcher_of_another_release_is_an_error(tmp_path: Path) -> None:
    async with standing(tmp_path, version="9.9.9") as stand:
        with pytest.raises(SfpError, match=r"the launcher is 9\.9\.9"):
            await stand.client.greet()


async def test_nobody_behind_the_socket(tmp_path: Path) -> None:
    with pytest.raises(LauncherGone):
        await LauncherClient(tmp_path / "none.sock", __version__).greet()


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "launcher.sock").write_text("")
    async with standing(tmp_path) as stand:
        assert (await stand.client.greet())["sandboxes"] == 0


async def test_stopping_ends_what_runs_and_says_so(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        launching = stand.client.launch("t", 1, {"type": "command", "data": {"argv": ["sleep", "60"]}}, ROOMY)
        launched = await launching.__aenter__()
        await stand.busy()
    last = [frame async for frame in launched.frames()][-1]
    await launching.__aexit__(None, None, None)
    assert json.loads(last.payload)["reason"] == "killed"
    assert stand.alive() == []


async def _asked(socket: Path, request: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(request)
        return json.loads(await reader.readline())
    finally:
        writer.close()
