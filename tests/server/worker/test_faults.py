"""Dispatchers and the launcher as programs, killed while tasks run: nothing is lost, doubled or left."""

import asyncio
import contextlib
import os
import random
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sfp_server import __version__
from sfp_server.server import migrate
from sfp_server.server.tasks.doorbell import Silence
from sfp_server.server.tasks.service import Backoff, Tasks
from sfp_server.server.tasks.submission import RetryConfig, SubmitTask
from sfp_server.server.worker import isolation, process
from sfp_server.server.worker.bubblewrap import MARK, ProcessSandboxes
from sfp_server.server.worker.launch import LauncherClient
from sfp_server.server.worker.types import TYPES
from tests.server.conftest import CONFIG_VERSION, FreshDatabase
from tests.server.programs import API_PASSWORD, PostgresServer, RedisServer
from tests.server.tasks.harness import OWNER, Queue, opened

pytestmark = [pytest.mark.anyio, pytest.mark.fault]


@dataclass
class Crew:
    """The programs, each started again when it was killed."""

    folder: Path
    environment: Mapping[str, str]
    running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sfp_server.server", *arguments, env=self.environment, stderr=log, stdout=log
            )

    async def start_all(self) -> None:
        await self.start("launcher", "launcher")
        await self.start("normal", "dispatcher", "--class", "normal")
        await self.start("batch", "dispatcher", "--class", "batch")

    async def kill(self, name: str) -> None:
        self.running[name].kill()
        await self.running[name].wait()

    async def restart(self, name: str) -> None:
        await self.start(name, *(["launcher"] if name == "launcher" else ["dispatcher", "--class", name]))

    async def stop(self) -> None:
        for name in ("normal", "batch", "launcher"):
            with contextlib.suppress(ProcessLookupError):
                self.running[name].terminate()
            await asyncio.wait_for(self.running[name].wait(), 60)

    def sandboxes(self) -> list[int]:
        mark = ProcessSandboxes("crew", self.folder / "sandboxes", isolation.programs(None), print).mark
        return process.marked(MARK, mark)


@contextlib.asynccontextmanager
async def hired(database: FreshDatabase, redis: RedisServer, folder: Path) -> AsyncIterator[Crew]:
    (folder / "secrets").mkdir(mode=0o700)
    (folder / "secrets/database-password").write_text(API_PASSWORD)
    (folder / "secrets/signing-key").write_text("key")
    crew = Crew(
        folder,
        {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(isolation.__file__).parents[3]),
            "SFP_TENANT": "crew",
            "SFP_VERSION": __version__,
            "SFP_CONFIG_VERSION": str(CONFIG_VERSION),
            "SFP_DATABASE_URL": database.api_url,
            "SFP_REDIS_URL": redis.url,
            "SFP_OBJECTS_URL": f"file://{folder}/objects",
            "SFP_LAUNCHER_SOCKET": f"{folder}/launcher.sock",
            "SFP_SANDBOX_DIR": f"{folder}/sandboxes",
            "SFP_SANDBOX_MEMORY": str(256 << 20),
            "SFP_SECRETS": f"{folder}/secrets",
            "SFP_WORKERS": "1,3,2",
        },
    )
    try:
        yield crew
    finally:
        for running in crew.running.values():
            if running.returncode is None:
                running.kill()
                await running.wait()


@contextlib.asynccontextmanager
async def queued(database: FreshDatabase) -> AsyncIterator[Queue]:
    async with opened(database) as queue:
        yield replace(queue, tasks=Tasks(queue.store, Silence(), TYPES, backoff=replace(Backoff(), first=0.1)))


@pytest.fixture
async def crew(fresh_database: FreshDatabase, redis: RedisServer, tmp_path: Path) -> AsyncIterator[Crew]:
    async with hired(fresh_database, redis, tmp_path) as crew:
        yield crew


@pytest.fixture
async def queue(fresh_database: FreshDatabase) -> AsyncIterator[Queue]:
    async with queued(fresh_database) as queue:
        yield queue


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    server = PostgresServer.create()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    server = RedisServer.create()
    server.start()
    yield server
    server.remove()


async def test_nothing_is_lost_or_doubled_while_programs_are_killed(crew: Crew, queue: Queue) -> None:
    seed = int(os.environ.get("SFP_SEED") or random.randrange(1 << 32))
    print(f"again: SFP_SEED={seed}")
    chance = random.Random(seed)
    await crew.start_all()
    ids = [await _submit(queue, chance) for _ in range(20)]
    for _ in range(6):
        await _progress(queue, chance.randrange(1, 4))
        name = chance.choice(["launcher", "normal", "batch"])
        await crew.kill(name)
        await crew.restart(name)
    rows = await _all_finished(queue, ids)
    assert {row["status"] for row in rows} == {"completed"}
    assert [await queue.terminal_events(id) for id in ids] == [1] * 20
    assert await queue.used() == 0
    await crew.stop()
    assert crew.sandboxes() == []


async def test_nothing_is_lost_while_database_and_doorbell_are_killed(
    own_postgres: PostgresServer, own_redis: RedisServer, template: FreshDatabase, tmp_path: Path
) -> None:
    """Sandboxes go on, beats are repeated, and each attempt ends once when PostgreSQL is back."""
    database = replace(template, server=own_postgres, name="sfp")
    await migrate.apply(database.target)
    async with hired(database, own_redis, tmp_path) as crew:
        async with queued(database) as queue:
            await crew.start_all()
            ids = [await _submit(queue, random.Random(at)) for at in range(20)]
            await _progress(queue, 3)
        await asyncio.to_thread(own_redis.kill)
        await asyncio.to_thread(own_postgres.kill)
        await asyncio.to_thread(own_postgres.start)
        await asyncio.to_thread(own_redis.start)
        async with queued(database) as queue:
            rows = await _all_finished(queue, ids)
            assert {row["status"] for row in rows} == {"completed"}
            assert [await queue.terminal_events(id) for id in ids] == [1] * 20
            assert await queue.admin.fetchval("SELECT count(*) FROM sfp.attempt") == 20
        await crew.stop()
        assert crew.sandboxes() == []


async def test_one_sandbox_an_attempt(crew: Crew, queue: Queue) -> None:
    """Counted by what the launcher says that it started."""
    await crew.start_all()
    chance = random.Random(1)
    ids = [await _submit(queue, chance, "true") for _ in range(60)]
    await _all_finished(queue, ids)
    await crew.stop()
    log = (crew.folder / "launcher.log").read_text()
    assert log.count('"sandbox started"') == log.count('"sandbox ended"') == 60
    assert await queue.admin.fetchval("SELECT count(*) FROM sfp.attempt") == 60


async def test_two_dispatchers_of_a_class_agree_on_its_slots(crew: Crew, queue: Queue) -> None:
    await crew.start_all()
    await crew.start("second", "dispatcher", "--class", "normal")
    ids = [await _submit(queue, random.Random(at), "sleep 0.3", "normal") for at in range(12)]
    client, most = LauncherClient(crew.folder / "launcher.sock", __version__), 0
    while [id for id in ids if (await queue.row(id))["status"] != "completed"]:
        with contextlib.suppress(Exception):
            most = max(most, len(await client.list()))
    assert 1 <= most <= 3
    await crew.kill("second")
    await crew.stop()


async def _submit(queue: Queue, chance: random.Random, script: str = "", priority: str = "") -> str:
    script = script or f"echo ready; sleep {chance.uniform(0.2, 2):.2f}; echo out > out"
    data = {"argv": ["sh", "-c", script], "outputs": ["out"]}
    priority = priority or chance.choice(["normal", "batch"])
    asked = SubmitTask("command", data, priority=priority, retry_config=RetryConfig(10))  # type: ignore[arg-type]
    return (await queue.tasks.submit(OWNER, asked)).id


async def _progress(queue: Queue, steps: int) -> None:
    """Return when so many more attempts have started, or nothing is left to start."""
    started = await _started(queue) + steps
    async with asyncio.timeout(60):
        while await _started(queue) < started and await _waiting(queue):
            await asyncio.sleep(0.02)


async def _started(queue: Queue) -> int:
    return await queue.admin.fetchval("SELECT count(*) FROM sfp.attempt")


async def _waiting(queue: Queue) -> int:
    return await queue.admin.fetchval("SELECT count(*) FROM sfp.task WHERE status IN ('pending', 'active')")


async def _all_finished(queue: Queue, ids: list[str]) -> list[Mapping[str, object]]:
    async with asyncio.timeout(120):
        while await _waiting(queue):
            await asyncio.sleep(0.05)
    return [await queue.row(id) for id in ids]
