"""Migrations against a cluster that has nothing yet, one that has too much, one whose administrator is no superuser."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace

import asyncpg
import pytest

from sfp_server.errors import CheckError, SfpError
from sfp_server.server import migrate, scram
from sfp_server.server.auth import token
from sfp_server.server.migrate import Target
from sfp_server.server.migrations import Migration, packaged, parse
from tests.server.conftest import OWNER_TOKEN, FreshDatabase
from tests.server.programs import ADMIN_PASSWORD, API_PASSWORD, PostgresServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def empty(postgres: PostgresServer) -> Iterator[FreshDatabase]:
    """The name of a database that is not there yet."""
    yield FreshDatabase(postgres, "not_there_yet")
    postgres.sql("DROP DATABASE IF EXISTS not_there_yet WITH (FORCE)")


def _next(text: str, phase: str = "pre", header: str = "-- compatible: yes\n", number: int = 0) -> Migration:
    number = number or len(packaged()) + 1
    return parse(f"{number:04}_{phase}_more.sql", (header + text).encode())


def _with(*more: Migration) -> tuple[Migration, ...]:
    return (*packaged(), *more)


async def test_a_cluster_with_nothing_gets_database_roles_and_schema(empty: FreshDatabase) -> None:
    report = await migrate.apply(empty.target)
    assert report.done == packaged()
    assert report.pending == ()
    assert empty.sql("SELECT datcollate FROM pg_database WHERE datname = current_database()") == "C"
    assert (
        empty.sql("SELECT release, schema_version FROM sfp.release_state")
        == f"{empty.target.release}|{len(packaged())}"
    )
    assert (await migrate.verify(empty.target)).schema_version == len(packaged())


async def test_again_changes_nothing(empty: FreshDatabase) -> None:
    await migrate.apply(empty.target)
    before = empty.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'sfp_api'"), empty.sql("TABLE sfp.event")
    assert (await migrate.apply(empty.target)).done == ()
    assert (
        empty.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'sfp_api'"),
        empty.sql("TABLE sfp.event"),
    ) == before


async def test_two_at_the_same_time_both_succeed(empty: FreshDatabase) -> None:
    reports = await asyncio.gather(migrate.apply(empty.target), migrate.apply(empty.target))
    assert sorted(len(report.done) for report in reports) == [0, len(packaged())]


async def test_a_changed_password_is_set_and_never_sent(empty: FreshDatabase, postgres: PostgresServer) -> None:
    await migrate.apply(empty.target)
    postgres.sql("ALTER SYSTEM SET log_statement = 'all'")
    postgres.sql("SELECT pg_reload_conf()")
    try:
        await migrate.apply(replace(empty.target, api_password="another-password"))
        await (await asyncpg.connect(empty.api_url, password="another-password")).close()
        assert "another-password" not in (postgres.folder / "log").read_text()
    finally:
        postgres.sql("ALTER SYSTEM RESET log_statement")
        postgres.sql("SELECT pg_reload_conf()")
        await migrate.apply(empty.target)


async def test_the_owners_token_is_let_in_once_and_stays_revoked(empty: FreshDatabase) -> None:
    await migrate.apply(empty.target)
    assert (
        empty.sql("SELECT hash, role, created_by FROM sfp.application_token")
        == f"{token.digest(OWNER_TOKEN)}|owner|migrate"
    )
    empty.sql("UPDATE sfp.application_token SET revoked_at = now()")
    await migrate.apply(empty.target)
    assert empty.sql("SELECT count(*), count(revoked_at) FROM sfp.application_token") == "1|1"


async def test_an_owners_token_that_was_replaced_ends(empty: FreshDatabase) -> None:
    await migrate.apply(empty.target)
    empty.sql(f"INSERT INTO sfp.application_token (id, name, hash, role, created_by) "
              f"VALUES (gen_random_uuid(), 'ci', '{'c' * 64}', 'owner', 'somebody')")  # fmt: skip
    await migrate.apply(replace(empty.target, owner_token_hash="d" * 64))
    revoked = empty.sql("SELECT hash FROM sfp.application_token WHERE revoked_at IS NOT NULL")
    assert revoked == token.digest(OWNER_TOKEN)
    assert empty.sql("SELECT count(*) FROM sfp.event WHERE action = 'application-token.revoke'") == "1"


async def test_a_failure_without_a_transaction_does_not_say_that_nothing_was_kept(empty: FreshDatabase) -> None:
    text = "-- no transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a ON sfp.event (action);\nSELECT 1/0;\n"
    with pytest.raises(SfpError) as caught:
        await migrate.apply(empty.target, migrations=_with(_next(text)))
    assert caught.value.hint == "A part of this migration may be kept; it is safe to repeat."


async def test_an_edited_migration_is_refused(empty: FreshDatabase) -> None:
    await migrate.apply(empty.target)
    first, *rest = packaged()
    with pytest.raises(SfpError, match="0001_pre_base was edited"):
        await migrate.apply(empty.target, migrations=[replace(first, checksum="0" * 64), *rest])
    with pytest.raises(SfpError, match="0001_pre_base was edited"):
        await migrate.verify(empty.target, [replace(first, checksum="0" * 64), *rest])


async def test_a_missing_migration_is_refused(empty: FreshDatabase) -> None:
    more = _next("SELECT 1;")
    await migrate.apply(empty.target, migrations=_with(more))
    other = parse(f"{more.number:04}_pre_other.sql", b"-- compatible: yes\nSELECT 1;")
    with pytest.raises(SfpError, match="_pre_more is missing from this release"):
        await migrate.apply(empty.target, migrations=_with(other))


@pytest.mark.parametrize("compatible", ["yes", "no"])
async def test_an_older_release_works_on_a_newer_database_only_where_that_is_compatible(
    empty: FreshDatabase, compatible: str
) -> None:
    await migrate.apply(empty.target, migrations=_with(_next("SELECT 1;", header=f"-- compatible: {compatible}\n")))
    if compatible == "yes":
        await migrate.apply(replace(empty.target, release="0.0.9"))
        assert empty.sql("SELECT release FROM sfp.release_state") == "0.0.9"
    else:
        with pytest.raises(SfpError, match="the database is newer than this release"):
            await migrate.apply(empty.target)


async def test_phases_are_applied_apart_and_verify_tells_what_is_pending(empty: FreshDatabase) -> None:
    after = _next("CREATE TABLE sfp.after ();", phase="post")
    report = await migrate.apply(empty.target, ["pre"], _with(after))
    assert (report.done, report.pending) == (packaged(), (after,))
    with pytest.raises(CheckError, match=r"pending migrations: 000\d_post_more"):
        await migrate.verify(empty.target, _with(after))
    assert (await migrate.apply(empty.target, ["post"], _with(after))).done == (after,)


async def test_a_migration_that_fails_leaves_nothing(empty: FreshDatabase) -> None:
    broken = _next("CREATE TABLE sfp.half (); SELECT 1/0;")
    with pytest.raises(SfpError, match="_pre_more: division by zero"):
        await migrate.apply(empty.target, migrations=_with(broken))
    assert empty.sql("SELECT to_regclass('sfp.half')") == ""
    assert (await migrate.apply(empty.target)).pending == ()


async def test_a_lock_that_is_held_is_not_waited_for_for_ever(empty: FreshDatabase) -> None:
    await migrate.apply(empty.target)
    holder = await asyncpg.connect(empty.admin_url, password=ADMIN_PASSWORD, database=empty.name)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("LOCK sfp.application_token")
    target = replace(empty.target, lock_timeout=0.1)
    with pytest.raises(SfpError, match="lock timeout") as raised:
        await migrate.apply(target, migrations=_with(_next("ALTER TABLE sfp.application_token ADD x int;")))
    assert "run it again" in raised.value.hint
    await holder.close()


async def test_a_migration_without_a_transaction(empty: FreshDatabase) -> None:
    text = "-- no transaction\n-- Two indexes;\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a ON sfp.event (action);\n"
    text += "CREATE INDEX CONCURRENTLY IF NOT EXISTS b ON sfp.event (actor);\n"
    await migrate.apply(empty.target)
    # Two at once: the one that waits must not hold a snapshot, for CONCURRENTLY would wait for it.
    more = _with(_next(text))
    await asyncio.wait_for(
        asyncio.gather(migrate.apply(empty.target, migrations=more), migrate.apply(empty.target, migrations=more)), 20
    )
    assert empty.sql("SELECT count(*) FROM pg_index WHERE indexrelid IN ('sfp.a'::regclass, 'sfp.b'::regclass)") == "2"


async def test_status_of_a_database_that_is_not_there(empty: FreshDatabase) -> None:
    report = await migrate.status(empty.target)
    assert (report.applied, report.pending, report.schema_version) == ((), packaged(), 0)


async def test_an_unreachable_database_is_one_line_without_secrets(empty: FreshDatabase) -> None:
    target = replace(empty.target, admin_url="postgresql://postgres@/postgres?host=/nowhere")
    with pytest.raises(SfpError, match=r"cannot reach the database postgres@.*/nowhere") as raised:
        await migrate.apply(target)
    assert ADMIN_PASSWORD not in str(raised.value)
    assert ADMIN_PASSWORD not in repr(target)


@pytest.fixture
def managed() -> Iterator[tuple[PostgresServer, Target]]:
    """As a managed service has it: an administrator who is no superuser, and roles of theirs that are there already."""
    server = PostgresServer.create()
    server.start()
    server.sql("CREATE ROLE admin LOGIN CREATEROLE CREATEDB PASSWORD 'admin'")
    for role in ("anon NOLOGIN", "authenticated NOLOGIN", "service_role NOLOGIN BYPASSRLS"):
        server.sql(f"CREATE ROLE {role}")
    url, api = server.url("admin", "postgres"), server.url("sfp_api", "sfp")
    yield server, Target(url, api, "sfp", "1", 1, admin_password="admin", api_password=API_PASSWORD)
    server.remove()


async def test_an_administrator_who_is_no_superuser_can_migrate(managed: tuple[PostgresServer, Target]) -> None:
    server, target = managed
    assert (await migrate.apply(target)).pending == ()
    before = server.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'sfp_api'")
    assert scram.matches(API_PASSWORD, before)
    await migrate.apply(target)
    assert server.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'sfp_api'") == before
    assert server.sql("SELECT count(*) FROM pg_class WHERE relowner = 'sfp_api'::regrole", "sfp") == "0"


async def test_an_api_role_that_bypasses_row_level_security_is_refused(managed: tuple[PostgresServer, Target]) -> None:
    server, target = managed
    server.sql("CREATE ROLE sfp_api LOGIN BYPASSRLS")
    with pytest.raises(SfpError, match="bypasses row-level security"):
        await migrate.apply(target)


async def test_the_program(environment: Mapping[str, str], fresh_database: FreshDatabase) -> None:
    status = _program(environment, "--status", "--json")
    document = json.loads(status.stdout)
    assert (document["schema"], document["version"], document["pending"]) == ("sfp.migrations", 1, [])
    assert document["schemaVersion"] == len(packaged())
    assert (
        _program(environment, "--verify").stdout == f"schema {len(packaged())}, {len(packaged())} migrations applied\n"
    )
    fresh_database.sql("UPDATE sfp.migration SET checksum = 'edited' WHERE number = 1")
    refused = _program(environment, "--apply")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: the migration 0001_pre_base was edited after it had been applied (")
    assert _program({}, "--apply").stderr.startswith("Error: settings: SFP_VERSION: is missing; ")


def _program(environment: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "sfp_server.server", "migrate", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
    )
