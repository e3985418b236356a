"""Transactions that act for a principal, one-trip reads, and what the login of the API cannot do."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import asyncpg
import pytest

from sfp_server.errors import SfpError
from sfp_server.server import migrate
from sfp_server.server.auth.roles import permissions
from sfp_server.server.db import Database, Unavailable
from sfp_server.server.principal import ANONYMOUS, Principal, system
from tests.server.conftest import FreshDatabase
from tests.server.programs import PostgresServer

pytestmark = pytest.mark.anyio

OWNER = Principal("user", "u-1", 'O\'Hara \\ "quoted"', "owner", permissions("owner"), "r-1", "192.0.2.7")
AUDITOR = system("auditor", "event:read")
NOTE = "INSERT INTO sfp.event (action, resource) VALUES ($1, $2)"
STATE = "SELECT * FROM sfp.instance_state($1::jsonb)"


async def test_an_act_is_written_with_who_did_it_and_from_where(database: Database) -> None:
    async with database.acting(OWNER) as connection:
        await connection.execute(NOTE, "thing.create", "thing/1")
    async with database.acting(AUDITOR) as connection:
        row = await connection.fetchrow("SELECT * FROM sfp.event WHERE action = 'thing.create'")
    assert row is not None
    assert (row["actor"], row["actor_kind"], row["request_id"], str(row["ip"])) == ("u-1", "user", "r-1", "192.0.2.7")


async def test_an_exception_undoes_everything_and_the_connection_is_good_again(database: Database) -> None:
    for _ in range(6):  # more often than there are connections
        with pytest.raises(RuntimeError, match="changed my mind"):
            await _change_my_mind(database)
    async with database.acting(AUDITOR) as connection:
        assert await connection.fetchval("SELECT count(*) FROM sfp.event WHERE action = 'thing.undone'") == 0


async def test_a_failed_statement_that_was_passed_over_is_no_success(database: Database) -> None:
    with pytest.raises(SfpError, match="not committed"):
        await _pass_over_a_failure(database)


async def test_claims_do_not_outlive_the_transaction_or_the_read(fresh_database: FreshDatabase) -> None:
    async with fresh_database.open(size=1) as database:
        async with database.acting(OWNER) as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
        await database.read(OWNER, STATE)
        rows = await database.read(
            ANONYMOUS, "SELECT pg_backend_pid() AS pid, sfp.claims() AS claims, $1::text AS given"
        )
        assert (rows[0]["pid"], rows[0]["claims"]) == (pid, "{}")


async def test_reads_are_one_trip_functions_under_row_level_security(database: Database) -> None:
    (row,) = await database.read(OWNER, STATE)
    assert row["schema_version"] == max(m.number for m in migrate.packaged())


async def test_the_api_login_cannot_read_or_write_without_claims(
    fresh_database: FreshDatabase, database: Database
) -> None:
    bare = await database.read(ANONYMOUS, "SELECT count(*) AS n, $1::text FROM sfp.release_state")
    assert bare[0]["n"] == 0
    with pytest.raises(asyncpg.PostgresError):
        await database.read(OWNER, "INSERT INTO sfp.event (action) VALUES ($1)")


REWRITES = [
    "UPDATE sfp.event SET action = 'x'",
    "DELETE FROM sfp.event",
    "TRUNCATE sfp.event",
    "INSERT INTO sfp.event (action, actor) VALUES ('x', 'somebody else')",
    "INSERT INTO sfp.event (action, at) VALUES ('x', now() - interval '1 day')",
    "DELETE FROM sfp.application_token",
    "CREATE TABLE sfp.mine ()",
]


@pytest.mark.parametrize("statement", REWRITES)
async def test_the_api_login_cannot_rewrite_history(database: Database, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.acting(OWNER) as connection:
            await connection.execute(statement)


async def test_somebody_without_the_permission_sees_no_events(database: Database) -> None:
    async with database.acting(OWNER) as connection:
        await connection.execute(NOTE, "thing.create", "")
    async with database.acting(system("curious")) as connection:
        assert await connection.fetchval("SELECT count(*) FROM sfp.event") == 0


def test_every_table_has_row_level_security_and_a_policy(fresh_database: FreshDatabase) -> None:
    bare = fresh_database.sql("""
        SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'sfp'::regnamespace AND c.relkind IN ('r', 'p')
        AND NOT (c.relrowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))""")
    assert bare == ""


def test_the_api_login_owns_nothing_and_bypasses_nothing(fresh_database: FreshDatabase) -> None:
    assert fresh_database.sql("SELECT count(*) FROM pg_class WHERE relowner = 'sfp_api'::regrole") == "0"
    assert fresh_database.sql("SELECT count(*) FROM pg_proc WHERE proowner = 'sfp_api'::regrole") == "0"
    attributes = "rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication"
    assert fresh_database.sql(f"SELECT {attributes} FROM pg_roles WHERE rolname = 'sfp_api'") == "f"
    assert fresh_database.sql("SELECT count(*) FROM pg_auth_members WHERE member = 'sfp_api'::regrole") == "0"


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    server = PostgresServer.create()
    server.start()
    yield server
    server.remove()


async def test_the_database_may_be_killed_and_come_back(own_postgres: PostgresServer) -> None:
    fresh = FreshDatabase(own_postgres, "sfp")
    await migrate.apply(fresh.target)
    async with fresh.open() as database:
        await asyncio.gather(*(database.read(OWNER, STATE) for _ in range(4)))
        with pytest.raises(Unavailable):
            await _note_around(database, own_postgres.kill)
        reads = [asyncio.create_task(database.read(OWNER, STATE)) for _ in range(8)]
        await asyncio.to_thread(own_postgres.start)
        assert all(await asyncio.gather(*reads))
        async with database.acting(AUDITOR) as connection:
            assert await connection.fetchval("SELECT count(*) FROM sfp.event WHERE action = 'thing.lost'") == 0


async def test_a_database_that_stays_away_is_unavailable_after_a_while(own_postgres: PostgresServer) -> None:
    fresh = FreshDatabase(own_postgres, "sfp")
    await migrate.apply(fresh.target)
    async with fresh.open(patience=0.2) as database:
        await database.read(OWNER, STATE)
        own_postgres.kill()
        for attempt in (database.read(OWNER, STATE), _act(database)):
            with pytest.raises(Unavailable):
                await asyncio.wait_for(attempt, 5)


async def _act(database: Database) -> None:
    async with database.acting(replace(OWNER)):
        raise AssertionError("it cannot have begun")


async def _change_my_mind(database: Database) -> None:
    async with database.acting(OWNER) as connection:
        await connection.execute(NOTE, "thing.undone", "")
        raise RuntimeError("changed my mind")


async def _pass_over_a_failure(database: Database) -> None:
    async with database.acting(OWNER) as connection:
        with suppress(asyncpg.PostgresError):
            await connection.execute("SELECT 1/0")


async def _note_around(database: Database, accident: Callable[[], None]) -> None:
    async with database.acting(OWNER) as connection:
        await connection.execute(NOTE, "thing.lost", "")
        accident()
        await connection.execute(NOTE, "thing.lost", "")
