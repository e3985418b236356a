"""Application tokens in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sfp_server.server import sql
from sfp_server.server.db import Connection, Database
from sfp_server.server.principal import Principal, system

_VERIFIER = system("authentication", "token:verify")


@dataclass(frozen=True)
class Found:
    """A token as a request's check sees it. `stale`: its last use is to be written down."""

    id: str
    name: str
    role: str
    expired: bool
    revoked: bool
    stale: bool


@dataclass(frozen=True)
class Listed:
    """A token as its owner sees it: everything but the secret."""

    id: str
    name: str
    role: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True)
class Locked:
    """A token under its row's lock. `another`: a different owner's token would remain."""

    role: str
    revoked: bool
    another: bool


class Store:
    """Reads and writes of the table `application_token`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = sql.load("auth/store.sql")

    async def find(self, hash: str) -> Found | None:
        """The token with this hash: one round trip."""
        rows = await self._database.read(_VERIFIER, self._sql["find"], hash)
        return Found(**{**dict(rows[0]), "id": str(rows[0]["id"])}) if rows else None

    async def page(self, principal: Principal, after: str | None, size: int) -> Sequence[Listed]:
        """Up to `size` tokens, newest first, those after an id where one is given."""
        rows = await self._database.read(principal, self._sql["page"], after, size)
        return [Listed(**{**dict(row), "id": str(row["id"])}) for row in rows]

    async def insert(
        self, connection: Connection, id: str, name: str, hash: str, role: str, lasts: timedelta
    ) -> tuple[datetime, datetime]:
        """When the new token was created, and when it ends."""
        row = await connection.fetchrow(self._sql["insert"], id, name, hash, role, lasts)
        assert row is not None  # an INSERT that returns
        return row["created_at"], row["expires_at"]

    async def lock(self, connection: Connection, id: str) -> Locked | None:
        """The token, locked until the transaction ends."""
        row = await connection.fetchrow(self._sql["lock"], id)
        return Locked(**dict(row)) if row else None

    async def revoke(self, connection: Connection, id: str) -> None:
        await connection.execute(self._sql["revoke"], id)

    async def touch(self, id: str) -> None:
        """Write down that the token was used."""
        async with self._database.acting(_VERIFIER) as connection:
            await connection.execute(self._sql["touch"], id)
