"""Health, and what a client has to know before it signs in."""

from collections.abc import Sequence
from typing import Literal

from litestar import Controller, Response, get
from msgspec import Struct

from sfp_server.server.health.service import Report
from sfp_server.server.http.given import ThePrincipal, TheServices
from sfp_server.server.services import Services


class Pong(Struct):
    """It listens."""

    status: Literal["ok"] = "ok"


class Check(Struct):
    """How one part of the server answered. `ms` are milliseconds."""

    name: str
    status: str
    ms: int


class Versions(Struct):
    """What runs: release, configuration version, schema version of the database (0 where it could not be asked)."""

    release: str
    configuration: int
    schema: int


class QueueOfClass(Struct, rename="camel"):
    """The queue of one worker class. `oldestSeconds` is how long the first one has been waiting, null where none is."""

    worker_class: str
    pending: int
    active: int
    slots: int
    oldest_seconds: float | None


class HealthReport(Struct):
    """`status` is healthy, degraded or unhealthy; `queue` is there for those who may read it."""

    status: str
    version: str
    versions: Versions
    checks: Sequence[Check]
    queue: Sequence[QueueOfClass] | None


class SingleSignOn(Struct, rename="camel"):
    """Where people sign in; null where nothing is set up."""

    provider_id: str | None = None
    domain: str | None = None


class ServerConfig(Struct, rename="camel"):
    """What a client has to know before it signs in."""

    deployment_mode: Literal["selfhosted", "cloud"]
    sso: SingleSignOn
    version: str


class HealthRoutes(Controller):
    """Open to all: they tell nothing that has to be guarded."""

    path = "/"
    tags = ("health",)
    opt = {"public": True}  # noqa: RUF012  the framework declares it so

    @get("/ping", operation_id="ping", summary="Whether the server listens")
    async def ping(self) -> Pong:
        return Pong()

    @get("/", operation_id="root", summary="The same, at the root")
    async def root(self) -> Pong:
        return Pong()

    @get("/health", operation_id="health", summary="How the server is; 503 where it is unhealthy")
    async def health(self, services: TheServices, principal: ThePrincipal) -> Response[HealthReport]:
        report = await services.health.report(principal)
        return Response(_shown(report, services), status_code=503 if report.status == "unhealthy" else 200)

    @get("/config", operation_id="config", summary="What a client has to know before it signs in")
    async def config(self, services: TheServices) -> ServerConfig:
        mode: Literal["selfhosted", "cloud"] = "cloud" if services.settings.deployment == "managed" else "selfhosted"
        return ServerConfig(mode, SingleSignOn(), services.settings.version)


def _shown(report: Report, services: Services) -> HealthReport:
    settings = services.settings
    return HealthReport(
        status=report.status,
        version=settings.version,
        versions=Versions(settings.version, settings.config_version, report.schema_version),
        checks=[Check(part.name, part.status, part.milliseconds) for part in report.parts],
        queue=None
        if report.queue is None
        else [QueueOfClass(lane.name, lane.pending, lane.active, lane.slots, lane.oldest) for lane in report.queue],
    )
