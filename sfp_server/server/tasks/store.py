"""Where the queue is kept: the statements of `store.sql`, each in a transaction of the principal who asks for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sfp_server.server.db import Connection, Database, Record
from sfp_server.server.principal import Principal
from sfp_server.server.sql import load
from sfp_server.server.tasks import rows as row_as
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

    since: datetime | None = None
    until: datetime | None = None
    after: int = 0
    limit: int = 1000
    last: bool = False


class Ending(NamedTuple):
    """How an attempt ends, in the order of the statement; `outcome` may also be `handed back`, texts are JSON."""

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
    """What a task is after its attempt."""

    id: str
    status: str
    priority: str


class Brought(NamedTuple):
    """A task with what it brought."""

    task: Task
    result: Any
    files: tuple[File, ...]


class Store:
    """The queue in PostgreSQL. `lease` is how many seconds a claim or a beat is good for."""

    def __init__(self, db: Database, lease: float = LEASE) -> None:
        self._db = db
        self._lease = lease
        self._sql = load("tasks/store.sql")

    async def submit(self, who: Principal, id: str, task: NewTask, key: str | None, words: bytes) -> Before | None:
        """Store a task and answer nothing; where the key was used before, store nothing and answer for what.
        `words` is the fingerprint of what was asked."""
        asked = task.type, task.priority, row_as.json_text(task.data), task.description, task.timeout, task.attempts
        async with self._db.acting(who) as connection:
            if await connection.fetchrow(self._sql["submit"], id, *asked, key, words):
                return None
            row = await connection.fetchrow(self._sql["asked_before"], key, words)
        return Before(str(row["id"]), row["type"], row["same"]) if row else None

    async def claim(self, who: Principal, worker: str, slot: str) -> Claim | None:
        """Fill a free slot of a class with the next task, if there are both."""
        async with self._db.acting(who) as connection:
            row = await connection.fetchrow(self._sql["claim"], slot, worker, self._lease)
        return row_as.claim(row) if row else None

    async def beat(self, who: Principal, claims: Sequence[Claim]) -> Beat:
        """Renew what lives; what does not is audited as stale."""
        ids, leases = [claim.id for claim in claims], [claim.lease for claim in claims]
        async with self._db.acting(who) as connection:
            beat = row_as.beat(await connection.fetch(self._sql["beat"], ids, leases, self._lease))
            for claim in claims:
                if claim.key not in beat.live:
                    await self._stale(connection, claim, "beat")
        return beat

    async def record(self, who: Principal, claim: Claim, entries: Sequence[Entry]) -> bool:
        """Keep what an attempt said; false and audited where it is stale."""
        times, kinds = [entry.at for entry in entries], [entry.kind for entry in entries]
        said = times, kinds, [row_as.json_text(entry.data) for entry in entries]
        async with self._db.acting(who) as connection:
            statement, reached = self._sql["record"], row_as.progress(entries)
            live = await connection.fetchrow(statement, claim.id, claim.lease, *said, *reached)
            if live is None:
                await self._stale(connection, claim, "record")
        return live is not None

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
            return await self._end(connection, str(row["id"]), row["lease"], _lost(row)) if row else None

    async def _end(self, connection: Connection, id: str, lease: int, ending: Ending) -> Ended | None:
        row = await connection.fetchrow(self._sql["end_attempt"], id, lease, *ending)
        return Ended(id, row["status"], row["class"]) if row else None

    async def _stale(self, connection: Connection, claim: Claim, attempted: str) -> None:
        await connection.execute(self._sql["stale"], claim.id, claim.lease, attempted)

    async def cancel(self, who: Principal, id: str) -> str | None:
        """Cancel a task or ask it to end; its status then. Nothing: nothing (more) to ask, or not by `who`."""
        async with self._db.acting(who) as connection:
            row = await connection.fetchrow(self._sql["cancel"], id)
        return row["status"] if row else None

    async def set_workers(self, who: Principal, counts: Mapping[str, int]) -> None:
        """Enable the first so many slots of each class that is named."""
        async with self._db.acting(who) as connection:
            await connection.execute(self._sql["set_workers"], list(counts), list(counts.values()))

    async def forget_keys(self, who: Principal) -> None:
        """Drop the Idempotency-Keys that mean nothing any more."""
        async with self._db.acting(who) as connection:
            await connection.execute(self._sql["forget_keys"])

    async def task(self, who: Principal, id: str) -> Task | None:
        """A task as it is now."""
        found = await self._db.read(who, f"SELECT {row_as.TASK} FROM sfp.task_seen($1::jsonb, $2)", id)  # noqa: S608
        return row_as.task(found[0]) if found else None

    async def result(self, who: Principal, id: str) -> Brought | None:
        """A task with its result and its files."""
        query = f"SELECT {row_as.TASK}, result, files FROM sfp.task_seen($1::jsonb, $2)"  # noqa: S608
        for row in await self._db.read(who, query, id):
            return Brought(row_as.task(row), row_as.value(row["result"]), row_as.files(row["files"]))
        return None

    async def listed(self, who: Principal, filters: Filters, before: str | None, limit: int) -> list[Task]:
        """Newest first, those submitted before the task `before`."""
        query = f"SELECT {row_as.TASK} FROM sfp.task_list($1::jsonb, $2, $3, $4, $5, $6)"  # noqa: S608
        wanted = filters.status, filters.type, filters.priority, before, limit
        return [row_as.task(row) for row in await self._db.read(who, query, *wanted)]

    async def events(self, who: Principal, id: str, after: int, limit: int) -> list[Event]:
        """What happened to a task after an event, oldest first."""
        query = "SELECT * FROM sfp.task_events($1::jsonb, $2, $3, $4)"
        return [row_as.event(row) for row in await self._db.read(who, query, id, after, limit)]

    async def logs(self, who: Principal, id: str, lines: Lines) -> list[Event]:
        """What a task said, oldest first."""
        query = "SELECT * FROM sfp.task_logs($1::jsonb, $2, $3, $4, $5, $6, $7)"
        wanted = lines.since, lines.until, lines.after, lines.limit, lines.last
        return [row_as.event(row) for row in await self._db.read(who, query, id, *wanted)]

    async def attempts(self, who: Principal, id: str) -> list[Attempt]:
        """The tries at a task, in order, those that were handed back too."""
        found = await self._db.read(who, "SELECT * FROM sfp.task_attempts($1::jsonb, $2)", id)
        return [row_as.attempt(row) for row in found]

    async def queue(self, who: Principal) -> list[Lane]:
        """The queue by class, most urgent first."""
        return [Lane(*row.values()) for row in await self._db.read(who, "SELECT * FROM sfp.queue($1::jsonb)")]


def _lost(row: Record) -> Ending:
    error = {"message": f"the worker {row['worker']} was lost during attempt {row['attempt']}", "cause": "lost"}
    return Ending("failed", error=row_as.json_text(error), cause="lost", again=True)
