"""The database: one-trip reads, and transactions that act for a principal. There is no third way in.

Row-level security stands behind both: the API's login owns nothing, so that a forgotten filter shows nothing. Values of
type `json` and `jsonb` go in and come out as their JSON text.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from sfp_server.errors import SfpError
from sfp_server.server.principal import Principal

Record: TypeAlias = asyncpg.Record
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
T = TypeVar("T")

_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InternalClientError,  # the server's last words came where nobody expected them
)


class Unavailable(SfpError):
    """It does not answer, or the connection was lost while it worked: a change may or may not have been made."""


class Database:
    """A pool of connections of the API's login. It outlives restarts of PostgreSQL."""

    def __init__(self, pool: Pool, patience: float) -> None:
        self._pool = pool
        self._patience = patience

    @classmethod
    async def open(cls, dsn: str, password: str, size: int, patience: float = 10) -> "Database":
        """A pool of up to `size` connections, each opened when it is first needed. `patience` is how many seconds
        a caller waits for the database to come back."""
        pool = await asyncpg.create_pool(
            dsn, password=password or None, min_size=0, max_size=size, timeout=patience, reset=_nothing
        )
        return cls(pool, patience)

    async def close(self) -> None:
        """Let what runs end, for five seconds, and close every connection."""
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except TimeoutError:
            self._pool.terminate()

    async def read(self, principal: Principal, query: str, *arguments: Any) -> list[Record]:
        """The rows of one SQL function, which takes the claims first: `SELECT * FROM sfp.task_status($1::jsonb, $2)`.
        One round trip, no transaction around it; asked again where the connection was lost."""
        claims = principal.claims()

        async def attempt() -> list[Record]:
            async with self._pool.acquire(timeout=self._patience) as connection:
                return await connection.fetch(query, claims, *arguments)

        return await self._through_restarts(attempt)

    @asynccontextmanager
    async def acting(self, principal: Principal) -> AsyncIterator[Connection]:
        """A transaction in which every statement is the principal's act; committed at the end, rolled back by any
        exception. The only way to write. It waits for a database that restarts, but a connection lost after the
        transaction began is `Unavailable`."""
        connection = await self._through_restarts(lambda: self._begin(principal))
        try:
            yield connection
            _was_committed(await connection.execute("COMMIT"))
        except BaseException as error:
            await _roll_back(connection)
            if is_lost(error) and not isinstance(error, OSError):
                raise _unavailable() from error
            raise
        finally:
            await self._pool.release(connection)

    async def _begin(self, principal: Principal) -> Connection:
        claims = principal.claims().replace("'", "''")
        connection = await self._pool.acquire(timeout=self._patience)
        try:
            await connection.execute(f"BEGIN; SELECT set_config('request.jwt.claims', '{claims}', true)")
        except BaseException:
            _cut(connection)
            await self._pool.release(connection)
            raise
        return connection

    async def _through_restarts(self, attempt: Callable[[], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self._patience, 0.02
        while True:
            try:
                return await attempt()
            except Exception as error:
                if not is_lost(error):
                    raise
                if loop.time() + pause > deadline:
                    raise _unavailable() from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.5)


def is_lost(error: BaseException) -> bool:
    """Whether an error says that the connection is gone or cannot be had, rather than that a statement was wrong."""
    if isinstance(error, asyncpg.InterfaceError):
        return "closed" in str(error) or "released back to the pool" in str(error)
    return isinstance(error, (*_LOST, OSError))


def _unavailable() -> Unavailable:
    return Unavailable("the database does not answer", "Try again in a few seconds.")


def _was_committed(tag: str) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK, and no error, where a statement had failed and somebody went on."""
    if tag != "COMMIT":
        raise SfpError("the transaction was not committed: one of its statements had failed")


async def _roll_back(connection: Connection) -> None:
    try:
        await connection.execute("ROLLBACK", timeout=5)
    except Exception:  # whatever state it is in, nobody shall get this connection again
        _cut(connection)


def _cut(connection: Connection) -> None:
    with suppress(asyncpg.InterfaceError):  # it was lost, and its place in the pool is free again
        connection.terminate()


async def _nothing(_: object) -> None:
    """Between two users of a connection nothing has to be undone: no session state is ever set. (The pool's own
    way would cost a round trip.)"""
