"""Application tokens over HTTP."""

from datetime import datetime
from typing import Annotated, Literal

from litestar import Controller, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from sfp_server.server.auth.store import Listed
from sfp_server.server.http import pages
from sfp_server.server.http.given import ThePrincipal, TheServices
from sfp_server.server.http.pages import Page


class NewToken(Struct, forbid_unknown_fields=True, rename="camel"):
    """A token to make. It ends after `expiresIn` days."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
    expires_in: Annotated[int, Meta(ge=1, le=3650)] = 30
    role: Literal["owner", "member", "application"] = "application"


class CreatedToken(Struct, rename="camel"):
    """A new token. `token` is shown here and never again."""

    id: str
    name: str
    role: str
    token: str
    created_at: datetime
    expires_at: datetime


class Token(Struct, rename="camel"):
    """A token without its secret."""

    id: str
    name: str
    role: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None


class ApplicationTokens(Controller):
    """Tokens of programs: CI jobs, bots, the command line."""

    path = "/application-tokens"
    tags = ("application tokens",)
    opt = {"permission": "token:manage"}  # noqa: RUF012  the framework declares it so

    @get(operation_id="listApplicationTokens", summary="Tokens that are not revoked, newest first")
    async def list_tokens(
        self,
        services: TheServices,
        principal: ThePrincipal,
        limit: Annotated[int, QueryParameter(ge=1, le=pages.LARGEST)] = pages.USUAL,
        cursor: FromQuery[str | None] = None,
    ) -> Page[Token]:
        found = await services.tokens.page(principal, pages.after(cursor), limit + 1)
        return pages.page([_shown(token) for token in found], limit, lambda token: token.id)

    @post(operation_id="createApplicationToken", summary="Make a token; its secret is shown once")
    async def create(self, services: TheServices, principal: ThePrincipal, data: JSONBody[NewToken]) -> CreatedToken:
        made = await services.tokens.issue(principal, data.name, data.role, data.expires_in)
        return CreatedToken(made.id, made.name, made.role, made.secret, made.created_at, made.expires_at)

    @delete("/{token_id:str}", operation_id="revokeApplicationToken", summary="Revoke a token at once, by its id")
    async def revoke(self, services: TheServices, principal: ThePrincipal, token_id: FromPath[str]) -> None:
        await services.tokens.revoke(principal, token_id)


def _shown(token: Listed) -> Token:
    return Token(
        id=token.id,
        name=token.name,
        role=token.role,
        created_at=token.created_at,
        created_by=token.created_by,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
    )
