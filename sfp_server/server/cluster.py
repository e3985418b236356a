"""What a PostgreSQL cluster needs before the first migration: the database, the roles, the API's password."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias
from urllib.parse import urlsplit

import asyncpg

from sfp_server.errors import LockedError, SfpError
from sfp_server.server import scram

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

API_ROLE = "sfp_api"
_OTHER_ROLES = ("anon", "authenticated", "service_role")
_LOCK = 7306327  # any number will do, so long as every migrate takes the same


async def connect(url: str, password: str, database: str | None = None) -> Connection:
    """One connection; an error says where it wanted to go, never with what."""
    try:
        return await asyncpg.connect(url, password=password or None, database=database, timeout=15)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        place = urlsplit(url)
        where = (
            f"{place.username or ''}@{place.hostname or place.query or 'local'}/{database or place.path.lstrip('/')}"
        )
        raise SfpError(f"cannot reach the database {where}: {error}") from error


@asynccontextmanager
async def exclusive(connection: Connection, timeout: float) -> AsyncIterator[None]:
    """One migrate at a time in this database. Tried again and again rather than waited for: a waiting statement
    would hold a snapshot, and CREATE INDEX CONCURRENTLY of the one inside would wait for that, for ever."""
    deadline = asyncio.get_running_loop().time() + timeout
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
        if asyncio.get_running_loop().time() > deadline:
            raise LockedError("another migrate is at work on this database", "Wait for it to end, then run it again.")
        await asyncio.sleep(0.1)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.fetchval("SELECT pg_advisory_unlock($1)", _LOCK)


async def prepare(admin: Connection, database: str, api_url: str, api_password: str) -> None:
    """Make what is missing; change nothing that is right."""
    await _make_roles(admin)
    await _refuse_powerful_api(admin)
    await _set_password(admin, api_url, api_password)
    if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
        locale = "ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C'"
        await admin.execute(f"CREATE DATABASE {_identifier(database)} TEMPLATE template0 {locale}")


async def _make_roles(admin: Connection) -> None:
    present = {row["rolname"] for row in await admin.fetch("SELECT rolname FROM pg_roles")}
    for role in (*_OTHER_ROLES, API_ROLE):
        if role not in present:
            await admin.execute(f"CREATE ROLE {role} {'LOGIN' if role == API_ROLE else 'NOLOGIN'}")
    if API_ROLE not in present:
        await admin.execute(f"ALTER ROLE {API_ROLE} SET statement_timeout = '30s'")
        await admin.execute(f"ALTER ROLE {API_ROLE} SET idle_in_transaction_session_timeout = '60s'")


async def _refuse_powerful_api(admin: Connection) -> None:
    row = await admin.fetchrow("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = $1", API_ROLE)
    if row and any(row.values()):
        raise SfpError(
            f"the database role {API_ROLE} is a superuser or bypasses row-level security",
            f"Run as an administrator of the database: ALTER ROLE {API_ROLE} NOSUPERUSER NOBYPASSRLS",
        )


async def _set_password(admin: Connection, api_url: str, password: str) -> None:
    if not password:
        raise SfpError("the secret database-password is missing", "It stands beside the other secrets of migrate.")
    if not await _has_password(admin, api_url, password):
        await admin.execute(f"ALTER ROLE {API_ROLE} PASSWORD '{scram.verifier(password)}'")


async def _has_password(admin: Connection, api_url: str, password: str) -> bool:
    try:
        row = await admin.fetchrow("SELECT rolpassword FROM pg_authid WHERE rolname = $1", API_ROLE)
        return row is not None and scram.matches(password, row["rolpassword"])
    except asyncpg.InsufficientPrivilegeError:  # not a superuser: managed databases
        return await _opens(api_url, password)


async def _opens(api_url: str, password: str) -> bool:
    try:
        connection = await asyncpg.connect(api_url, password=password, timeout=15)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    await connection.close()
    return True


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
