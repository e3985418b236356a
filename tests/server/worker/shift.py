"""A dispatcher at work: a real queue, a real launcher, a folder as the store."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sfp_server.server.objects import Objects, open_objects
from sfp_server.server.tasks.doorbell import Silence
from sfp_server.server.tasks.service import Backoff, Tasks
from sfp_server.server.tasks.submission import RetryConfig, SubmitTask
from sfp_server.server.worker.attempt import Desk
from sfp_server.server.worker.dispatcher import Dispatcher, Duty, Stop
from sfp_server.server.worker.launch import LauncherClient
from sfp_server.server.worker.types import TYPES
from tests.server.tasks.harness import OWNER, Queue

FINISHED = {"completed", "failed", "cancelled"}


@dataclass
class Shift:
    """What tests do with it: submit, wait, and look."""

    queue: Queue
    desk: Desk
    stop: Stop
    duty: Duty
    objects: Path
    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    async def submit(self, type: str, data: Any, attempts: int = 3, **more: Any) -> str:
        asked = SubmitTask(type, data, retry_config=RetryConfig(attempts), **more)
        return (await self.desk.tasks.submit(OWNER, asked)).id

    async def shell(self, script: str, attempts: int = 3, outputs: list[str] | None = None, **more: Any) -> str:
        data = {"argv": ["sh", "-c", script], **({"outputs": outputs} if outputs else {})}
        return await self.submit("command", data, attempts, **more)

    async def until(self, id: str, statuses: set[str] = FINISHED, timeout: float = 30) -> Mapping[str, Any]:
        """The task's row, once it has one of these statuses."""
        async with asyncio.timeout(timeout):
            while (row := await self.queue.row(id))["status"] not in statuses:
                await asyncio.sleep(0.02)
        return row

    async def lines(self, id: str) -> list[str]:
        rows = await self.queue.admin.fetch(
            "SELECT data ->> 'text' AS text FROM sfp.task_event WHERE task_id = $1 AND kind = 'log' ORDER BY id", id
        )
        return [row["text"] for row in rows]

    async def said(self, id: str, line: str, timeout: float = 15) -> None:
        """Return when the task has said this line."""
        async with asyncio.timeout(timeout):
            while line not in await self.lines(id):
                await asyncio.sleep(0.02)

    async def attempts(self, id: str) -> list[tuple[str, str | None]]:
        rows = await self.queue.admin.fetch(
            "SELECT outcome, cause FROM sfp.attempt WHERE task_id = $1 ORDER BY lease", id
        )
        return [(row["outcome"], row["cause"]) for row in rows]

    def stored(self) -> dict[str, str]:
        """Every object with its SHA-256."""
        files = [path for path in self.objects.rglob("*") if path.is_file()]
        return {
            path.relative_to(self.objects).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
        }


@contextlib.asynccontextmanager
async def at_work(
    queue: Queue, client: LauncherClient, folder: Path, drain: float = 20, store: Any = None, **workers: int
) -> AsyncIterator[Shift]:
    """A dispatcher of the class normal, for the length of a block; it must end in good order."""
    tasks = Tasks(queue.store, Silence(), TYPES, backoff=replace(Backoff(), first=0.1))
    objects: Objects = store or open_objects(f"file://{folder}/objects", "http://127.0.0.1:1", "key", "", "")
    desk = Desk(tasks, client, objects, memory=256 << 20, pids=200)
    duty = Duty("normal", "test", {"critical": 1, "normal": 2, "batch": 1, **workers}, drain, folder / "alive")
    shift = Shift(queue, desk, Stop(), duty, folder / "objects")
    running = asyncio.create_task(
        Dispatcher(duty, desk, lambda event, **fields: shift.events.append((event, fields))).run(shift.stop)
    )
    try:
        yield shift
    finally:
        if not shift.stop.asked.is_set():
            shift.stop.press()
        await running
