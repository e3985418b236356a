"""The rules of application tokens: who is behind one, who may make and revoke them."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sfp_server.server import events
from sfp_server.server.auth import token
from sfp_server.server.auth.roles import permissions
from sfp_server.server.auth.store import Found, Listed, Store
from sfp_server.server.db import Database
from sfp_server.server.ids import is_id, new_id
from sfp_server.server.principal import Principal, Role
from sfp_server.server.problems import Problem, not_found, unauthenticated

_LOG = logging.getLogger("sfp.auth")


@dataclass(frozen=True)
class Issued:
    """A new token. `secret` is shown once, and kept nowhere."""

    id: str
    name: str
    role: str
    secret: str
    created_at: datetime
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Issued({self.id})"


class Tokens:
    """Application tokens."""

    def __init__(self, database: Database, store: Store) -> None:
        self._database = database
        self._store = store
        self._touching: dict[str, asyncio.Task[None]] = {}

    async def principal(self, authorization: str) -> Principal:
        """Who an Authorization field stands for; a 401 where it stands for nobody."""
        text = token.bearer(authorization)
        if not token.is_token(text):
            raise unauthenticated("an application token starts with sfp_app_; this is none, or it is mistyped", True)
        found = await self._store.find(token.digest(text))
        if found is None or found.revoked or found.expired:
            raise unauthenticated(_why_not(found), True)
        if found.stale:
            self._touch(found.id)
        return Principal("application", found.id, found.name, cast(Role, found.role), permissions(found.role))

    async def issue(self, principal: Principal, name: str, role: str, days: int) -> Issued:
        """Make a token."""
        secret, id = token.new_token(), new_id()
        async with self._database.acting(principal) as connection:
            made = await self._store.insert(connection, id, name, token.digest(secret), role, timedelta(days=days))
            data = {"name": name, "role": role, "days": days}
            await events.note(connection, "application-token.create", f"application-token/{id}", data=data)
        return Issued(id, name, role, secret, *made)

    async def page(self, principal: Principal, after: str | None, size: int) -> Sequence[Listed]:
        """Tokens that are not revoked, newest first."""
        return await self._store.page(principal, after, size)

    async def revoke(self, principal: Principal, id: str) -> None:
        """End a token, from the next request on. Once more changes nothing."""
        if not is_id(id):
            raise not_found(f"application token {id}")
        async with self._database.acting(principal) as connection:
            found = await self._store.lock(connection, id)
            if found is None:
                raise not_found(f"application token {id}")
            if found.revoked:
                return
            if found.role == "owner" and not found.another:
                raise _last_owner()
            await self._store.revoke(connection, id)
            await events.note(connection, "application-token.revoke", f"application-token/{id}")

    async def close(self) -> None:
        """Let what is being written down be written."""
        await asyncio.gather(*self._touching.values(), return_exceptions=True)

    def _touch(self, id: str) -> None:
        """Write down the use beside the request, once at a time a token."""
        if id not in self._touching:
            self._touching[id] = asyncio.create_task(self._write_down(id))

    async def _write_down(self, id: str) -> None:
        try:
            await self._store.touch(id)
        except Exception as error:  # the request it was for is long answered
            _LOG.warning("the use of a token was not written down: %s", error)
        finally:
            del self._touching[id]


def _why_not(found: Found | None) -> str:
    if found is None:
        return "this token is not known here"
    return "this token was revoked" if found.revoked else "this token has expired"


def _last_owner() -> Problem:
    detail = "this is the last token of an owner; without one nobody could make another"
    return Problem(409, "last-owner-token", "The last owner's token stays", detail)
