"""The queue beside PgQueuer and taskiq-redis: idle submit → start, and a durable drain of tasks that do nothing.

All of them run here on one PostgreSQL and one Redis with the settings of the embedded engine (fsync on), a producer
and a consumer in one process, so that the figures compare what a task costs the queue. A sandbox is no part of it.
"""

import asyncio
import json
import secrets
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from sfp_server import __version__
from tests.waiting import eventually

LATENCY_JOBS, DRAIN_JOBS, CONSUMERS = 200, 2000, 10
PEERS = Path(__file__).parent / "peers"


def run(peers: Path) -> None:
    """Print medians, rates and ratios. `peers` is the environment that holds the other queues."""
    with _services() as folder:
        password = (folder / "database-admin-password").read_text()
        dsn = f"postgresql://postgres:{password}@/postgres?host={folder}"
        redis = f"unix://{folder}/redis.sock?password={password}"
        ours = asyncio.run(_ours(folder, password, redis))
        pgqueuer = _peer(peers, "pgqueuer_queue.py", dsn)
        taskiq = _peer(peers, "taskiq_queue.py", redis)
    print(f"queue    ours       idle p50 {ours['p50_ms']:6.2f} ms   drain {ours['drain']:7.0f} /s")
    for name, peer in (("PgQueuer", pgqueuer), ("taskiq", taskiq)):
        slower, faster = ours["p50_ms"] / peer["p50_ms"], ours["drain"] / peer["drain"]
        print(
            f"queue    {name:9}  idle p50 {peer['p50_ms']:6.2f} ms   drain {peer['drain']:7.0f} /s"
            f"   ours: {slower:.2f} × its delay, {faster:.2f} × its rate"
        )


def _peer(environment: Path, script: str, where: str) -> dict[str, float]:
    argv = [str(environment / "bin" / "python"), str(PEERS / script), where, str(LATENCY_JOBS), str(DRAIN_JOBS)]
    ran = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300)
    figures: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return figures


@contextmanager
def _services() -> Iterator[Path]:
    """PostgreSQL and Redis as the embedded engine starts them, on sockets in one private folder."""
    with TemporaryDirectory(prefix="sfp-bench-", dir="/tmp") as name:
        folder = Path(name)
        password = secrets.token_hex(16)
        (folder / "database-admin-password").write_text(password)
        (folder / "redis-auth.conf").write_text(f"requirepass {password}\n")
        postgres = _program("postgres", folder, "--data", folder / "pgdata-16", "--socket", folder)
        redis = _program("redis", folder, "--data", folder / "redis", "--socket", folder / "redis.sock")
        try:
            eventually(lambda: _ready("postgres", folder) and _ready("redis", folder), timeout=60)
            yield folder
        finally:
            for process in (redis, postgres):
                process.terminate()
                process.wait(30)


def _program(name: str, folder: Path, *arguments: object) -> "subprocess.Popen[bytes]":
    argv = [sys.executable, "-m", "sfp_server.engine.programs", name, *map(str, arguments), "--secrets", str(folder)]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _ready(name: str, folder: Path) -> bool:
    socket = folder / "redis.sock" if name == "redis" else folder
    argv = [sys.executable, "-m", "sfp_server.engine.programs", "ready", name, "--socket", str(socket)]
    return subprocess.run([*argv, "--secrets", str(folder)], capture_output=True).returncode == 0


async def _ours(folder: Path, password: str, redis_url: str) -> dict[str, float]:
    from redis.asyncio import Redis

    from sfp_server.server import migrate
    from sfp_server.server.db import Database
    from sfp_server.server.tasks.doorbell import Doorbell
    from sfp_server.server.tasks.service import Tasks
    from sfp_server.server.tasks.store import Store
    from sfp_server.server.worker.types import TYPES

    api = secrets.token_hex(16)
    api_url = f"postgresql://sfp_api@/sfp?host={folder}"
    admin_url = f"postgresql://postgres@/postgres?host={folder}"
    await migrate.apply(
        migrate.Target(
            admin_url=admin_url, api_url=api_url, database="sfp", release=__version__, config_version=1,
            admin_password=password, api_password=api,
        )
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        database = await Database.open(api_url, api, CONSUMERS + 2)
        stack.push_async_callback(database.close)
        bell = await stack.enter_async_context(Doorbell(Redis.from_url(redis_url)).listening())
        tasks = Tasks(Store(database), bell, TYPES)
        await tasks.set_workers({"critical": 1, "normal": CONSUMERS, "batch": 1})
        return {"drain": await _drain(tasks), "p50_ms": await _latency(tasks)}


async def _drain(tasks: "Tasks") -> float:  # type: ignore[name-defined]  # noqa: F821
    for _ in range(DRAIN_JOBS):
        await _submit(tasks)
    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONSUMERS):
            group.create_task(_consume(tasks))
    return DRAIN_JOBS / (perf_counter() - began)


async def _consume(tasks: "Tasks") -> None:  # type: ignore[name-defined]  # noqa: F821
    from sfp_server.server.tasks.model import Outcome

    while claim := await tasks.claim("bench", "normal"):
        await tasks.finish(claim, Outcome("completed"))


async def _latency(tasks: "Tasks") -> float:  # type: ignore[name-defined]  # noqa: F821
    from sfp_server.server.tasks.model import Outcome

    delays: list[float] = []
    sent: dict[str, float] = {}

    async def work() -> None:
        while len(delays) < LATENCY_JOBS:
            if claim := await tasks.claim("bench", "normal"):
                delays.append(perf_counter() - sent[claim.data["echo"]])
                await tasks.finish(claim, Outcome("completed"))
            else:
                await tasks.wait_for_work("normal")

    worker = asyncio.create_task(work())
    for number in range(LATENCY_JOBS):
        sent[str(number)] = perf_counter()
        await _submit(tasks, str(number))
        await asyncio.sleep(0.02)
    await worker
    return statistics.median(delays) * 1000


async def _submit(tasks: "Tasks", echo: str = "") -> None:  # type: ignore[name-defined]  # noqa: F821
    from sfp_server.server.principal import system
    from sfp_server.server.tasks.submission import SubmitTask

    who = system("bench", "task:submit", "task:submit:critical", "task:read")
    await tasks.submit(who, SubmitTask(type="ping", data={"echo": echo}))
