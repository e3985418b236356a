"""Who may call what: every route says which permission it needs, or that it is public; one that says neither cannot be.

@get("/things", opt={"permission": "thing:read"})      @get("/ping", opt={"public": True})
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

from litestar import Litestar, Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from sfp_server.errors import SfpError
from sfp_server.server import events
from sfp_server.server.http.asgi import client_address, request_id
from sfp_server.server.principal import ANONYMOUS, Principal
from sfp_server.server.problems import forbidden, unauthenticated
from sfp_server.server.services import Services

AnyConnection: TypeAlias = ASGIConnection[Any, Any, Any, Any]
AnyRequest: TypeAlias = Request[Any, Any, Any]


async def guard(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Find out who asks, and turn away who may not. Runs before anything of the request's body is read."""
    services: Services = connection.app.state.services
    principal = await _who(connection, services)
    connection.scope["user"] = principal
    permission = handler.opt.get("permission")
    if permission is None:
        return
    if principal.kind == "anonymous":
        raise unauthenticated("send an application token: Authorization: Bearer sfp_app_…", presented=False)
    if not principal.may(permission):
        await _note_denial(services, principal, permission, handler)
        raise forbidden(permission)


def principal_of(request: AnyRequest) -> Principal:
    """The principal that the guard found, for handlers that ask for one."""
    principal: Principal = request.scope["user"]
    return principal


def check_declared(app: Litestar) -> None:
    """Refuse an application in which a route says neither which permission it needs nor that it is public."""
    undeclared = [
        name for name, opt in _routes(app) if not isinstance(opt.get("permission"), str) and not opt.get("public")
    ]
    if undeclared:
        raise SfpError(f"routes without a declared permission: {', '.join(sorted(undeclared))}")


async def _who(connection: AnyConnection, services: Services) -> Principal:
    authorization = connection.headers.get("authorization", "")
    principal = await services.tokens.principal(authorization) if authorization else ANONYMOUS
    return principal.seen(request_id(connection.scope), client_address(connection.scope))


async def _note_denial(services: Services, principal: Principal, permission: str, handler: BaseRouteHandler) -> None:
    async with services.database.acting(principal) as connection:
        await events.note(
            connection, "access", str(handler.name or handler.handler_name), "denied", {"permission": permission}
        )


def _routes(app: Litestar) -> Iterable[tuple[str, dict[str, object]]]:
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            yield route.path, route.route_handler.opt
            continue
        for handler in route.route_handlers:
            if not _answers_options(handler):
                yield f"{'|'.join(sorted(handler.http_methods))} {route.path}", handler.opt


def _answers_options(handler: HTTPRouteHandler) -> bool:
    """The framework's own answer to OPTIONS, which says the methods of a path and nothing else."""
    return handler.http_methods == {"OPTIONS"}
