"""Bring the database to this release's schema: each migration once, in order, with its record, under one lock."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from sfp_server.errors import CheckError, SfpError
from sfp_server.server import cluster
from sfp_server.server.cluster import Connection
from sfp_server.server.ids import new_id
from sfp_server.server.migrations import Migration, packaged
from sfp_server.server.principal import system

PHASES = ("pre", "post")

_BOOTSTRAP = """
CREATE SCHEMA IF NOT EXISTS sfp;
CREATE TABLE IF NOT EXISTS sfp.migration (
    number       int         PRIMARY KEY,
    name         text        NOT NULL,
    phase        text        NOT NULL,
    checksum     text        NOT NULL,
    compatible   boolean     NOT NULL,
    release      text        NOT NULL,
    applied_at   timestamptz NOT NULL DEFAULT now(),
    milliseconds int         NOT NULL
);
ALTER TABLE sfp.migration ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS read ON sfp.migration;
CREATE POLICY read ON sfp.migration FOR SELECT
    USING (coalesce(current_setting('request.jwt.claims', true), '') <> '');
GRANT USAGE ON SCHEMA sfp TO sfp_api;
GRANT SELECT ON sfp.migration TO sfp_api;
"""

_RECORD = """
INSERT INTO sfp.migration (number, name, phase, checksum, compatible, release, milliseconds)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

_BELONGS = """
INSERT INTO sfp.release_state (release, config_version, schema_version) VALUES ($1, $2, $3)
ON CONFLICT (one) DO UPDATE SET release = $1, config_version = $2, schema_version = $3, changed_at = now()
WHERE (release_state.release, release_state.config_version, release_state.schema_version) IS DISTINCT FROM ($1, $2, $3)
"""

_LET_OWNER_IN = """
INSERT INTO sfp.application_token (id, name, hash, role) VALUES ($1, 'owner', $2, 'owner') ON CONFLICT (hash) DO NOTHING
"""

_END_FORMER_OWNER = """
UPDATE sfp.application_token SET revoked_at = now()
WHERE created_by = sfp.claim('sub') AND hash <> $1 AND revoked_at IS NULL RETURNING id::text
"""


@dataclass(frozen=True)
class Target:
    """The database to migrate, and what it shall belong to. `owner_token_hash` is the hex SHA-256 of the owner's first
    token, or empty. Passwords are kept out of every text."""

    admin_url: str
    api_url: str
    database: str
    release: str
    config_version: int
    admin_password: str = field(default="", repr=False)
    api_password: str = field(default="", repr=False)
    owner_token_hash: str = field(default="", repr=False)
    lock_timeout: float = 10
    patience: float = 300


@dataclass(frozen=True)
class Applied:
    """A migration as the database remembers it."""

    number: int
    name: str
    checksum: str
    compatible: bool


@dataclass(frozen=True)
class Report:
    """Where a database stands: what is applied, what is pending, and what this run did."""

    applied: tuple[Applied, ...]
    pending: tuple[Migration, ...]
    done: tuple[Migration, ...] = ()

    @property
    def schema_version(self) -> int:
        return max((entry.number for entry in self.applied), default=0)


async def apply(
    target: Target, phases: Sequence[str] = PHASES, migrations: Sequence[Migration] | None = None
) -> Report:
    """Apply what is pending. Two at the same time: one waits, and finds nothing left to do."""
    migrations = packaged() if migrations is None else migrations
    await _prepare(target)
    connection = await cluster.connect(target.admin_url, target.admin_password, target.database)
    try:
        async with cluster.exclusive(connection, target.patience):
            return await _apply(connection, target, phases, migrations)
    finally:
        await connection.close()


async def status(target: Target, migrations: Sequence[Migration] | None = None) -> Report:
    """Where the database stands; changes nothing. One that is not there yet has everything pending."""
    migrations = packaged() if migrations is None else migrations
    try:
        connection = await asyncpg.connect(
            target.admin_url, password=target.admin_password or None, database=target.database, timeout=15
        )
    except asyncpg.InvalidCatalogNameError:
        return Report((), tuple(migrations))
    try:
        applied = await _applied(connection)
    finally:
        await connection.close()
    return Report(applied, _pending(applied, migrations))


async def verify(target: Target, migrations: Sequence[Migration] | None = None) -> Report:
    """Where the database stands; an error where it is not wholly what this release says."""
    report = await status(target, migrations)
    check(report.applied, packaged() if migrations is None else migrations)
    if report.pending:
        names = ", ".join(migration.name for migration in report.pending)
        raise CheckError(f"pending migrations: {names}", "Run: sfp server migrate --apply")
    return report


def check(applied: Sequence[Applied], migrations: Sequence[Migration]) -> None:
    """Refuse a history that is not this package's: edited, missing, or newer and not compatible with this code."""
    known = {migration.number: migration for migration in migrations}
    newest = max(known, default=0)
    for entry in applied:
        if entry.number > newest and not entry.compatible:
            raise SfpError(
                f"the database is newer than this release: {entry.name} was applied and is not compatible with it",
                "Run the release that applied it, or restore the backup from before.",
            )
        if entry.number <= newest:
            _check_same(entry, known.get(entry.number))


def _check_same(entry: Applied, migration: Migration | None) -> None:
    if migration is None or migration.name != entry.name:
        raise SfpError(f"the applied migration {entry.name} is missing from this release", _NOT_OURS)
    if migration.checksum != entry.checksum:
        raise SfpError(f"the migration {entry.name} was edited after it had been applied", _NOT_OURS)


_NOT_OURS = "Install the release unchanged: an applied migration is never edited; write a new one."


def _pending(applied: Sequence[Applied], migrations: Sequence[Migration]) -> tuple[Migration, ...]:
    done = {entry.number for entry in applied}
    return tuple(migration for migration in migrations if migration.number not in done)


async def _prepare(target: Target) -> None:
    admin = await cluster.connect(target.admin_url, target.admin_password)
    try:
        async with cluster.exclusive(admin, target.patience):
            await cluster.prepare(admin, target.database, target.api_url, target.api_password)
    finally:
        await admin.close()


async def _apply(
    connection: Connection, target: Target, phases: Sequence[str], migrations: Sequence[Migration]
) -> Report:
    await connection.execute(_BOOTSTRAP)
    applied = await _applied(connection)
    check(applied, migrations)
    done = tuple(migration for migration in _pending(applied, migrations) if migration.phase in phases)
    for migration in done:
        await _run(connection, migration, target)
    applied = await _applied(connection)
    await _belong(connection, target, max(entry.number for entry in applied))
    return Report(applied, _pending(applied, migrations), done)


async def _applied(connection: Connection) -> tuple[Applied, ...]:
    if not await connection.fetchval("SELECT to_regclass('sfp.migration')"):
        return ()
    rows = await connection.fetch("SELECT number, name, checksum, compatible FROM sfp.migration ORDER BY number")
    return tuple(Applied(**dict(row)) for row in rows)


async def _run(connection: Connection, migration: Migration, target: Target) -> None:
    try:
        if migration.transactional:
            async with connection.transaction():
                await _run_and_record(connection, migration, target)
        else:
            await _run_and_record(connection, migration, target)
    except asyncpg.PostgresError as error:
        raise SfpError(f"migration {migration.name}: {error}", _advice(error, migration)) from error


async def _run_and_record(connection: Connection, migration: Migration, target: Target) -> None:
    began = time.monotonic()
    await connection.execute(f"SET lock_timeout = {round(target.lock_timeout * 1000)}")
    for statement in migration.statements:
        await connection.execute(statement)
    milliseconds = round((time.monotonic() - began) * 1000)
    described = (migration.number, migration.name, migration.phase, migration.checksum, migration.compatible)
    await connection.execute(_RECORD, *described, target.release, milliseconds)


def _advice(error: asyncpg.PostgresError, migration: Migration) -> str:
    kept = "Nothing of this migration was kept" if migration.transactional else "A part of this migration may be kept"
    if isinstance(error, asyncpg.LockNotAvailableError):
        return f"Something else held the table. {kept}; run it again."
    return f"{kept}." if migration.transactional else f"{kept}; it is safe to repeat."


async def _belong(connection: Connection, target: Target, schema_version: int) -> None:
    """Say what the database belongs to now, and let the owner's token in, once: a revoked one stays revoked. Where it
    was replaced in the secrets, the one before ends."""
    claims = system("migrate").claims()
    async with connection.transaction():
        await connection.execute("SELECT set_config('request.jwt.claims', $1, true)", claims)
        if _changed(await connection.execute(_BELONGS, target.release, target.config_version, schema_version)):
            await _note(connection, "release.change", target.release)
        if target.owner_token_hash:
            token_id = new_id()
            if _changed(await connection.execute(_LET_OWNER_IN, token_id, target.owner_token_hash)):
                await _note(connection, "application-token.create", f"application-token/{token_id}")
                for former in await connection.fetch(_END_FORMER_OWNER, target.owner_token_hash):
                    await _note(connection, "application-token.revoke", f"application-token/{former['id']}")


def _changed(tag: str) -> bool:
    return not tag.endswith(" 0")


async def _note(connection: Connection, action: str, resource: str) -> None:
    await connection.execute("INSERT INTO sfp.event (action, resource) VALUES ($1, $2)", action, resource)


def document(report: Report) -> Mapping[str, object]:
    """The report as a document, for `--json`."""
    return {
        "schema": "sfp.migrations",
        "version": 1,
        "schemaVersion": report.schema_version,
        "applied": [entry.name for entry in report.applied],
        "pending": [migration.name for migration in report.pending],
        "done": [migration.name for migration in report.done],
    }
