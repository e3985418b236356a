"""The HTTP API: which routes there are, and what stands before every one of them."""

from typing import cast

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp, ControllerRouterHandler

from sfp_server.server.auth.routes import ApplicationTokens
from sfp_server.server.files.routes import Files
from sfp_server.server.guard import check_declared, guard, principal_of
from sfp_server.server.health.routes import HealthRoutes
from sfp_server.server.http import answers, openapi
from sfp_server.server.http.asgi import App
from sfp_server.server.http.edge import Edge
from sfp_server.server.http.limit import RateLimit, policies
from sfp_server.server.services import Services
from sfp_server.server.tasks.routes import TaskRoutes, task_logs

BASE = "/sfp/api"
LARGEST_BODY = 1024 * 1024  # bytes


def create_app(services: Services) -> Litestar:
    """The application over these services."""
    return assemble(services, [HealthRoutes, ApplicationTokens, TaskRoutes, task_logs, Files])


def assemble(services: Services, routes: list[ControllerRouterHandler]) -> Litestar:
    """An application of these routes under the base path. One with a route that declares no permission is refused."""

    def the_services() -> Services:
        return services

    app = Litestar(
        route_handlers=[Router(BASE, route_handlers=routes), *openapi.routes()],
        state=State({"services": services}),
        dependencies={
            "services": Provide(the_services, sync_to_thread=False),
            "principal": Provide(principal_of, sync_to_thread=False),
        },
        guards=[guard],
        exception_handlers=answers.handlers(),
        openapi_config=openapi.config(),
        request_max_body_size=LARGEST_BODY,
        logging_config=None,
    )
    check_declared(app)
    openapi.publish(app)
    limited = RateLimit(cast(App, app.asgi_handler), services.limiter, policies(services.settings.rate_limit))
    app.asgi_handler = cast(ASGIApp, Edge(limited))  # around the router, so that unknown addresses pass through it too
    return app
