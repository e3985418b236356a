"""The API described by itself: OpenAPI 3.1 at `/sfp/apidocs-json`, and a page that needs nothing from elsewhere."""

from typing import Any

import msgspec
from litestar import Litestar, Request, Response, Router, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler

from sfp_server import __version__
from sfp_server.server.http import apidocs

_TITLE = "sfp server"
_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "What a request met (RFC 9457).",
    "required": ["type", "title", "status", "requestId"],
    "properties": {
        "type": {"type": "string", "description": "urn:sfp:problem: and a stable word"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "requestId": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "detail": {"type": "string"},
                    "pointer": {"type": "string", "description": "where in the body, as a JSON pointer fragment"},
                    "parameter": {"type": "string"},
                },
            },
        },
    },
}
_ANSWER = {
    "description": "A problem",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def config() -> OpenAPIConfig:
    """What the framework is told: the title, and bearer tokens."""
    scheme = SecurityScheme(type="http", scheme="bearer", description="An application token, sfp_app_…")
    return OpenAPIConfig(
        title=_TITLE,
        version=__version__,
        use_handler_docstrings=True,
        components=Components(security_schemes={"bearer": scheme}),
        # The framework's own address of the document; ours are in `routes`.
        openapi_router=Router("/sfp/apidocs/raw", route_handlers=[], include_in_schema=False, opt={"public": True}),
        render_plugins=[JsonRenderPlugin()],
    )


def routes() -> list[ControllerRouterHandler]:
    """The document and its page."""

    @get("/sfp/apidocs-json", include_in_schema=False, opt={"public": True})
    async def document(request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(request.app.state.openapi_json, media_type="application/json")

    @get("/sfp/apidocs", include_in_schema=False, opt={"public": True})
    async def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return Response(request.app.state.openapi_page, media_type="text/html; charset=utf-8", headers=headers)

    return [document, page]


def publish(app: Litestar) -> None:
    """Write the document and its page once."""
    document = describe(app)
    app.state.openapi_json = msgspec.json.encode(document)
    app.state.openapi_page = apidocs.page(document).encode()


def describe(app: Litestar) -> dict[str, Any]:
    """The document: the framework's, with our problems instead of its errors and the permission of every operation."""
    document: dict[str, Any] = app.openapi_schema.to_schema()
    document["openapi"] = "3.1.0"
    document["components"]["schemas"]["Problem"] = _PROBLEM
    for (path, method), opt in _options(app).items():
        operation = document["paths"].get(path, {}).get(method)
        if operation is not None:
            _complete(operation, opt)
    return document


def _options(app: Litestar) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (route.path_format, method.lower()): handler.opt
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
    }


def _complete(operation: dict[str, Any], opt: dict[str, Any]) -> None:
    kept = {status: answer for status, answer in operation["responses"].items() if not status.startswith(("4", "5"))}
    operation["responses"] = {**kept, "default": _ANSWER}
    permission = opt.get("permission")
    operation["security"] = [{"bearer": []}] if permission else []
    if permission:
        operation["x-permission"] = permission
