"""Where the queue is kept: the statements of `store.sql`, each in a transaction of the principal who asks for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sfp_server.server.db import Connection, Database
from sfp_server.server.principal import Principal
from sfp_server.server.sql import load
from sfp_server.server.tasks import rows as as_model
from sfp_server.server.tasks.model import Attempt, Beat, Claim, Entry, Event, File, Lane, NewTask, Task

LEASE: Final = 10.0  # seconds


@dataclass(frozen=True)
class Filters:
    """Which tasks a list is about; none of them: all."""

    status: str | None = None
    type: str | None = None
    priority: str | None = None


@dataclass(frozen=True)
class Lines:
    """Which lines of a log: said from `since` to `until`, after the event `after`; the first `limit`, or the last."""

    since: datetime | None
    until: datetime | None
    after: int
    limit: int
    last: bool = False


class Ending(NamedTuple):
    """How an attempt ends, as the statement takes it; `outcome` may also be `handed back`."""

    outcome: str
    result: str | None = None
    error: str | None = None
    files: str = "[]"
    cause: str | None = None
    again: bool = False
    delay: float = 0.0


class Before(NamedTuple):
    """What an Idempotency-Key stands for already, and whether it was asked for in the same words."""

    id: str
    type: str
    same: bool


class Ended(NamedTuple):
    """What a task is after its attempt: its status and its class."""

    id: str
    status: str
    priority: str


class Store:
    """The queue in PostgreSQL. `lease` is how many seconds a claim or a beat is good for."""

    def __init__(self, db: Database, lease: float = LEASE) -> None:
        self._db = db
        self._lease = lease
        self._sql = load("tasks/store.sql")

    async def submit(self, who: Principal, id: str, task: NewTask, key: str | None, words: bytes) -> Before | None:
        """Store a task and answer nothing; where the key was used before, store nothing and answer for what."""
        async with self._db.acting(who) as connection:
            row = await connection.fetchrow(
                self._sql["submit"], id, task.type, task.priority, rows.json_text(task.data), task.description,
                task.timeout, task.attempts, key, words,
            )  # fmt: skip
            return None if row else await self._before(connection, key, words)

    async def _before(self, connection: Connection, key: str | None, words: bytes) -> Before | None:
        row = await connection.fetchrow(self._sql["asked_before"], key, words)
        return Before(str(row["id"]), row["type"], row["same"]) if row else None

    async def claim(self, who: Principal, worker: str, slot: str) -> Claim | None:
        async with self._db.acting(who) as connection:
            row = await connection.fetchrow(self._sql["claim"], slot, worker, self._lease)
        return rows.claim(row) if row else None

    async def beat(self, who: Principal, claims: Sequence[Claim]) -> Beat:
        """Renew what lives; what does not is audited as stale."""
        async with self._db.acting(who) as connection:
            ids, leases = [claim.id for claim in claims], [claim.lease for claim in claims]
            rows = await connection.fetch(self._sql["beat"], ids, leases, self._lease)
            beat = rows.beat(renewed)
            for claim in claims:
                if claim.key not in beat.live:
                    await self._stale(connection, claim, "beat")
        return beat

    async def record(self, who: Principal, claim: Claim, entries: Sequence[Entry]) -> bool:
        """Keep what an attempt said; false and audited where it is stale."""
        progress, message = rows.progress(entries)
        columns = [entry.at for entry in entries], [entry.kind for entry in entries], [rows.json_text(entry.data) for entry in entries]
        async with self._db.acting(who) as connection:
            row = await connection.fetchrow(self._sql["record"], claim.id, claim.lease, *columns, progress, message)
            if row is None:
                await self._stale(connection, claim, "record")
        return row is not None

    async def end(self, who: Principal, claim: Claim, ending: Ending) -> Ended | None:
        """End an attempt; nothing and audited where it is stale."""
        async with self._db.acting(who) as connection:
            ended = await self._end(connection, claim.id, claim.lease, ending)
            if ended is None:
                await self._stale(connection, claim, ending.outcome)
        return ended

    async def rescue(self, who: Principal) -> Ended | None:
        """End one attempt whose lease ran out, if there is one."""
        async with self._db.acting(who) as connection:
            row = await connection.fetchrow(self._sql["lost"])
            return await self._end(connection, str(row["id"]), row["lease"], lost(row)) if row else None

    async def _end(self, connection: Connection, id: str, lease: int, ending: Ending) -> Ended | None:
        row = await connection.fetchrow(self._sql["end_attempt"], id, lease, *ending)
        return Ended(id, row["status"], row["class"]) if row else None

    async def _stale(self, connection: Connection, claim: Claim, attempted: str) -> None:
        await connection.execute(self._sql["stale"], claim.id, claim.lease, attempted)

    async def cancel(self, who: Principal, id: str) -> str | None:
        """Cancel a task or ask it to end; its status then. Nothing: there was nothing (more) to ask."""
        async with self._db.acting(who) as connection:
            return await connection.fetchval(self._sql["cancel"], id)  # type: ignore[no-any-return]

    async def set_workers(self, who: Principal, counts: Mapping[str, int]) -> None:
        async with self._db.acting(who) as connection:
            await connection.execute(self._sql["set_workers"], list(counts), list(counts.values()))

    async def forget_keys(self, who: Principal) -> None:
        """Drop the Idempotency-Keys that nobody may use any more."""
        async with self._db.acting(who) as connection:
            await connection.execute(self._sql["forget_keys"])

    async def task(self, who: Principal, id: str) -> Task | None:
        rows = await self._db.read(who, f"SELECT {rows.TASK} FROM sfp.task_seen($1::jsonb, $2)", id)
        return rows.task(rows[0]) if rows else None

    async def result(self, who: Principal, id: str) -> tuple[Task, Any, tuple[File, ...]] | None:
        """A task with what it brought: its result and its files."""
        query = f"SELECT {rows.TASK}, result, files FROM sfp.task_seen($1::jsonb, $2)"
        rows = await self._db.read(who, query, id)
        return (rows.task(rows[0]), rows.value(rows[0]["result"]), rows.files(rows[0]["files"])) if rows else None

    async def listed(self, who: Principal, filters: Filters, before: str | None, limit: int) -> list[Task]:
        """Newest first, those submitted before the task `before`."""
        query = f"SELECT {rows.TASK} FROM sfp.task_list($1::jsonb, $2, $3, $4, $5, $6)"
        rows = await self._db.read(who, query, filters.status, filters.type, filters.priority, before, limit)
        return [rows.task(row) for row in rows]

    async def events(self, who: Principal, id: str, after: int, limit: int) -> list[Event]:
        """What happened to a task after an event, oldest first."""
        rows = await self._db.read(who, "SELECT * FROM sfp.task_events($1::jsonb, $2, $3, $4)", id, after, limit)
        return [rows.event(row) for row in rows]

    async def logs(self, who: Principal, id: str, lines: Lines) -> list[Event]:
        """What a task said, oldest first."""
        query = "SELECT * FROM sfp.task_logs($1::jsonb, $2, $3, $4, $5, $6, $7)"
        wanted = lines.since, lines.until, lines.after, lines.limit, lines.last
        return [rows.event(row) for row in await self._db.read(who, query, id, *wanted)]

    async def attempts(self, who: Principal, id: str) -> list[Attempt]:
        """The tries at a task, in order, those that were handed back too."""
        rows = await self._db.read(who, "SELECT * FROM sfp.task_attempts($1::jsonb, $2)", id)
        return [rows.attempt(row) for row in rows]

    async def queue(self, who: Principal) -> list[Lane]:
        """The queue by class, most urgent first."""
        rows = await self._db.read(who, "SELECT * FROM sfp.queue($1::jsonb)")
        return [Lane(*row.values()) for row in rows]
