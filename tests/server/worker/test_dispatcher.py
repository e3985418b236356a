"""The dispatcher against a real queue and a real launcher: each attempt ends once, whatever ends it."""

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sfp_server import __version__
from sfp_server.server.worker.launch import LauncherClient
from tests.server.conftest import FreshDatabase
from tests.server.tasks.harness import OWNER, Queue, opened
from tests.server.worker.shift import Shift, at_work
from tests.server.worker.stand import Stand, soon, standing

pytestmark = pytest.mark.anyio


@pytest.fixture
async def queue(fresh_database: FreshDatabase) -> AsyncIterator[Queue]:
    async with opened(fresh_database) as queue:
        yield queue


@pytest.fixture
async def launcher(tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(tmp_path) as stand:
        yield stand


@pytest.fixture
async def shift(queue: Queue, launcher: Stand, tmp_path: Path) -> AsyncIterator[Shift]:
    async with at_work(queue, launcher.client, tmp_path) as shift:
        yield shift


async def test_a_ping_is_answered(shift: Shift) -> None:
    id = await shift.submit("ping", {"echo": 1})
    row = await shift.until(id)
    assert (row["status"], json.loads(row["result"])) == ("completed", {"pong": True, "echo": 1})
    assert await shift.queue.used() == 0
    assert shift.duty.heartbeat
    assert shift.duty.heartbeat.exists()


async def test_outputs_are_stored_and_named_in_the_result(shift: Shift) -> None:
    id = await shift.shell(
        "mkdir a; head -c 3M /dev/urandom > a/big; printf '' > none; echo x > other", outputs=["a", "none"]
    )
    row = await shift.until(id)
    files = {file["name"]: file for file in json.loads(row["files"])}
    assert row["status"] == "completed"
    assert {file["key"]: file["sha256"] for file in files.values()} == shift.stored()
    assert (files["a/big"]["size"], files["none"]["sha256"]) == (3 << 20, hashlib.sha256(b"").hexdigest())
    assert all(file["key"] == f"tasks/{id}/{row['lease']}/{name}" for name, file in files.items())


async def test_its_lines_are_kept_in_order(shift: Shift) -> None:
    id = await shift.shell("for i in $(seq 1 500); do echo $i; done; printf 'a\\000b\\n'")
    await shift.until(id)
    assert await shift.lines(id) == [*map(str, range(1, 501)), "ab"]


async def test_lines_come_while_it_runs(shift: Shift) -> None:
    id = await shift.shell("echo early; sleep 60")
    await shift.said(id, "early")
    assert (await shift.queue.row(id))["status"] == "active"
    shift.stop.press()
    shift.stop.press()


async def test_a_command_that_fails_is_not_repeated(shift: Shift) -> None:
    id = await shift.shell("echo bad luck >&2; exit 3")
    row = await shift.until(id)
    error = json.loads(row["error"])
    assert (row["status"], error["message"], error["exitCode"]) == ("failed", "sh ended with exit code 3: bad luck", 3)
    assert await shift.attempts(id) == [("failed", "error")]


async def test_a_cancelled_task_ends_and_leaves_nothing(shift: Shift, launcher: Stand) -> None:
    id = await shift.shell("echo ready; sleep 300")
    await shift.said(id, "ready")
    await shift.desk.tasks.cancel(OWNER, id)
    row = await shift.until(id)
    assert row["status"] == "cancelled"
    assert launcher.alive() == []
    assert await shift.attempts(id) == [("cancelled", "cancelled")]


async def test_a_stale_attempt_is_killed_unheard(shift: Shift, launcher: Stand) -> None:
    id = await shift.shell("echo ready; sleep 300; echo late")
    await shift.said(id, "ready")
    await shift.queue.admin.execute(
        "UPDATE sfp.task SET lease = lease + 1, lease_until = now() + interval '1 hour' WHERE id = $1", id
    )
    await soon(lambda: any(event == "attempt stale" for event, _ in shift.events))
    await soon(lambda: not launcher.alive())
    row = await shift.queue.row(id)
    assert (row["status"], row["result"]) == ("active", None)
    assert await shift.lines(id) == ["ready"]


async def test_an_attempt_has_its_time(shift: Shift, launcher: Stand) -> None:
    id = await shift.shell("echo ready; sleep 300", attempts=1, timeout=1000)
    row = await shift.until(id)
    assert json.loads(row["error"])["message"] == "it took longer than 1 s and was ended"
    assert await shift.attempts(id) == [("failed", "timeout")]
    assert launcher.alive() == []


async def test_a_sandbox_that_dies_is_tried_again(shift: Shift, tmp_path: Path) -> None:
    id = await shift.shell("kill -9 $PPID; sleep 5", attempts=2)
    row = await shift.until(id)
    assert row["status"] == "failed"
    assert "its sandbox ended without a result (signal 9)" in json.loads(row["error"])["message"]
    assert [cause for _, cause in await shift.attempts(id)] == ["lost", "lost"]


async def test_what_needs_too_much_memory_is_told_so(shift: Shift) -> None:
    script = "x=$(head -c 400M /dev/zero | tr '\\0' x); sleep 60"
    row = await shift.until(await shift.shell(script))
    assert "more memory" in json.loads(row["error"])["message"]


async def test_as_many_at_once_as_there_are_slots(shift: Shift, launcher: Stand) -> None:
    ids = [await shift.shell("echo go; sleep 0.5") for _ in range(5)]
    seen = 0
    while [id for id in ids if (await shift.queue.row(id))["status"] != "completed"]:
        seen = max(seen, len(await launcher.client.list()))
    assert seen == 2
    assert await shift.queue.used() == 0


async def test_without_a_launcher_nothing_is_claimed(queue: Queue, tmp_path: Path) -> None:
    client = LauncherClient(tmp_path / "launcher.sock", __version__)
    async with at_work(queue, client, tmp_path) as shift:
        id = await shift.submit("ping", {})
        await soon(lambda: any(event == "dispatcher ready" for event, _ in shift.events))
        assert (await queue.row(id))["status"] == "pending"
        async with standing(tmp_path):
            assert (await shift.until(id))["status"] == "completed"
        assert await shift.attempts(id) == [("completed", None)]


async def test_a_launcher_that_dies_costs_one_attempt(queue: Queue, tmp_path: Path) -> None:
    first = await _launcher(tmp_path)
    async with at_work(queue, LauncherClient(tmp_path / "launcher.sock", __version__), tmp_path) as shift:
        id = await shift.shell("echo ready; sleep 1")
        await shift.said(id, "ready")
        first.kill()
        await first.wait()
        second = await _launcher(tmp_path)
        row = await shift.until(id)
        assert row["status"] == "completed"
        causes = [cause for _, cause in await shift.attempts(id)]
        assert [cause for cause in causes if cause != "handed back"] == ["lost", None]
    second.terminate()
    await second.wait()


async def test_draining_lets_what_runs_end(queue: Queue, launcher: Stand, tmp_path: Path) -> None:
    async with at_work(queue, launcher.client, tmp_path) as shift:
        running = await shift.shell("echo ready; sleep 1; echo done")
        await shift.said(running, "ready")
        shift.stop.press()
        waiting = await shift.shell("echo never")
    assert (await queue.row(running))["status"] == "completed"
    assert (await queue.row(waiting))["status"] == "pending"


@pytest.mark.parametrize("presses", [1, 2])
async def test_draining_hands_back_what_takes_too_long(
    queue: Queue, launcher: Stand, tmp_path: Path, presses: int
) -> None:
    async with at_work(queue, launcher.client, tmp_path, drain=0.2 if presses == 1 else 300) as shift:
        id = await shift.shell("echo ready; sleep 300")
        await shift.said(id, "ready")
        for _ in range(presses):
            shift.stop.press()
    row = await queue.row(id)
    assert (row["status"], row["attempt"]) == ("pending", 0)
    assert await shift.attempts(id) == [("handed back", "handed back")]
    assert launcher.alive() == []


async def test_a_store_that_fails_is_another_attempt(queue: Queue, launcher: Stand, tmp_path: Path) -> None:
    class Full:
        async def put(self, key: str, chunks: Any) -> None:
            raise OSError("no space left")

        async def delete_prefix(self, prefix: str) -> None:
            raise OSError("no space left")

    async with at_work(queue, launcher.client, tmp_path, store=Full()) as shift:
        id = await shift.shell("head -c 5M /dev/zero > x", attempts=2, outputs=["x"])
        row = await shift.until(id)
    assert json.loads(row["error"])["message"] == "the object store did not take x (OSError)"
    assert len(await shift.attempts(id)) == 2
    assert launcher.alive() == []


async def test_what_a_failed_attempt_stored_is_removed(shift: Shift) -> None:
    """The first file is stored when the second turns out to have no name that could be kept."""
    script = "echo a > a; n=$(head -c 210 /dev/zero | tr '\\0' b); echo b > $n"
    row = await shift.until(await shift.shell(script, attempts=1, outputs=["*"]))
    assert row["status"] == "failed"
    await soon(lambda: shift.stored() == {})


async def _launcher(folder: Path) -> asyncio.subprocess.Process:
    """A launcher to be killed; it is there when its socket answers."""
    program = str(Path(__file__).with_name("launcher_program.py"))
    quiet = asyncio.subprocess.DEVNULL
    launcher = await asyncio.create_subprocess_exec(sys.executable, program, str(folder), "strict", stdout=quiet)
    client = LauncherClient(folder / "launcher.sock", __version__)

    async def answers() -> bool:
        try:
            return bool(await client.greet())
        except Exception:
            return False

    async with asyncio.timeout(15):
        while not await answers():
            await asyncio.sleep(0.02)
    return launcher
