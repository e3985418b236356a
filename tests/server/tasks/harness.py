"""What tests do with a queue: submit, look past row-level security, and let time pass."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import asyncpg

from sfp_server.server.db import Database
from sfp_server.server.principal import Principal
from sfp_server.server.tasks.doorbell import Bell, Silence
from sfp_server.server.tasks.model import Claim, Outcome
from sfp_server.server.tasks.service import Backoff, Tasks
from sfp_server.server.tasks.store import Store
from sfp_server.server.tasks.submission import RetryConfig, SubmitTask
from tests.server.conftest import FreshDatabase
from tests.server.programs import ADMIN_PASSWORD

_EVERYBODY = frozenset({"task:read", "task:submit", "task:submit:critical", "task:cancel"})
OWNER = Principal("user", "olga", "Olga", "owner", _EVERYBODY | {"task:command", "task:cancel:any"})
MEMBER = Principal("user", "mina", "Mina", "member", _EVERYBODY)
PROGRAM = Principal("application", "ci", "CI", "application", _EVERYBODY)

DONE = Outcome("completed", {"answer": 42})
BROKEN = Outcome("failed", error={"message": "it broke"}, retry=True)
HOPELESS = Outcome("failed", error={"message": "it never works"})

TYPES = {
    "ping": SimpleNamespace(OWNER_ONLY=False, validate=lambda data: []),
    "picky": SimpleNamespace(OWNER_ONLY=False, validate=lambda data: [("/depth", "is required"), ("", "is odd")]),
    "command": SimpleNamespace(OWNER_ONLY=True, validate=lambda data: []),
}


@dataclass(frozen=True)
class Queue:
    """A queue, its database, and a way past the rules."""

    tasks: Tasks
    store: Store
    db: Database
    admin: "asyncpg.Pool[asyncpg.Record]"

    async def submit(self, priority: Any = "normal", attempts: int = 3, who: Principal = MEMBER, **more: Any) -> str:
        asked = SubmitTask("ping", priority=priority, retry_config=RetryConfig(attempts), **more)
        return (await self.tasks.submit(who, asked)).id

    async def running(self, priority: Any = "normal", attempts: int = 3) -> Claim:
        """A task that was submitted and claimed by a worker of its class."""
        id = await self.submit(priority, attempts)
        claim = await self.tasks.claim("w", priority)
        assert claim is not None
        assert claim.id == id
        return claim

    async def later(self, seconds: float) -> None:
        """Let time pass for the queue: everything it waits for comes nearer."""
        await self.admin.execute(
            "UPDATE sfp.task SET ready_at = ready_at - $1::interval, lease_until = lease_until - $1::interval",
            timedelta(seconds=seconds),
        )

    async def row(self, id: str) -> Mapping[str, Any]:
        found = await self.admin.fetchrow("SELECT * FROM sfp.task WHERE id = $1", id)
        assert found is not None
        return found

    async def used(self) -> int:
        return await self.admin.fetchval("SELECT count(*) FROM sfp.slot WHERE task_id IS NOT NULL")

    async def unfinished(self) -> int:
        return await self.admin.fetchval("SELECT count(*) FROM sfp.task WHERE finished_at IS NULL")

    async def audited(self, action: str) -> list[Mapping[str, Any]]:
        return await self.admin.fetch("SELECT * FROM sfp.event WHERE action = $1 ORDER BY id", action)

    async def terminal_events(self, id: str) -> int:
        return await self.admin.fetchval(
            "SELECT count(*) FROM sfp.task_event WHERE task_id = $1 AND kind = 'status' "
            "AND data ->> 'status' IN ('completed', 'failed', 'cancelled')",
            id,
        )


@contextlib.asynccontextmanager
async def opened(
    database: FreshDatabase, size: int = 4, lease: float = 10, bell: Bell | None = None
) -> AsyncIterator[Queue]:
    """A queue in this database; retries rest for exactly 5, 10, 20 … s."""
    url = database.server.url("postgres", database.name)
    admins = asyncpg.create_pool(url, password=ADMIN_PASSWORD, min_size=1, max_size=3)
    async with admins as admin, database.open(size) as db:
        store = Store(db, lease)
        tasks = Tasks(store, bell or Silence(), TYPES, backoff=replace(Backoff(), random=lambda: 1.0))
        await tasks.set_workers({"critical": 1, "normal": 1, "batch": 1})
        yield Queue(tasks, store, db, admin)
