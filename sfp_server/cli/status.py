"""`status`: how an instance and its services are."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfp_server.cli import opening, ui
from sfp_server.errors import SfpError

if TYPE_CHECKING:
    from sfp_server.engine.base import Service
    from sfp_server.ops.site import Seen, Site

STATS = Annotated[bool, typer.Option("--stats", help="With processor and memory of each service.")]

Lanes = Mapping[str, Mapping[str, Any]]

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
_MIB = 1 << 20


def status(tenant: ui.TENANT = None, base_dir: ui.BASE_DIR = None, stats: STATS = False, json: ui.JSON = False) -> None:
    """Show how the instance and its services are.

    In one word: running, partial, stopped, error, or unknown where that cannot be told.
    """
    show(opening.site(tenant, base_dir, json), stats, json)


def show(site: "Site", stats: bool = False, json: bool = False) -> None:
    """Print how the instance is, as a table or as a document."""
    seen, trouble = _seen(site, stats)
    if json:
        return ui.document("status", body(site, seen, trouble, stats))
    lanes = _lanes(site, seen)
    ui.say(_headline(site, seen, trouble))
    if seen.services:
        ui.table([_row(service, lanes, stats) for service in seen.services], _headers(stats))
    for line in _afterwards(seen, trouble, lanes):
        ui.say(line)


def body(site: "Site", seen: "Seen", trouble: str = "", stats: bool = False) -> dict[str, Any]:
    """The instance as a document; `version` is the release that is in place, none before the first start."""
    return {
        "tenant": site.instance.tenant,
        "status": _word(seen, trouble),
        "url": site.url,
        "engine": site.engine.name,
        "version": seen.manifest.get("release"),
        "schemaVersion": seen.manifest.get("schema_version"),
        "services": [_service(service, stats) for service in seen.services],
        **({"detail": trouble} if trouble else {}),
    }


def ago(seconds: float) -> str:
    """`4 s`, `11 min`, `2 h`, `12 d`: the largest whole unit."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def since(site: "Site", began: float) -> str:
    """The time from a moment of the clock to now."""
    return ui.duration(site.clock.monotonic() - began)


def _seen(site: "Site", stats: bool) -> "tuple[Seen, str]":
    """What can be seen; and in a line, why not all can."""
    from sfp_server.ops.site import Seen, look

    try:
        return look(site, stats), ""
    except SfpError as error:
        return Seen(), error.message.splitlines()[0]


def _word(seen: "Seen", trouble: str) -> str:
    return "unknown" if trouble else seen.status


def _service(service: "Service", stats: bool) -> dict[str, Any]:
    return {
        "name": service.name,
        "state": service.state,
        "health": service.health,
        "image": service.image,
        "replicas": service.replicas,
        "uptime": service.uptime,
        **({"detail": service.detail} if service.detail else {}),
        **({"cpu": service.cpu, "memory": service.memory} if stats else {}),
    }


def _headline(site: "Site", seen: "Seen", trouble: str) -> str:
    release = seen.manifest.get("release") or "never started"
    parts = [site.instance.tenant, _word(seen, trouble), release, site.url, site.engine.name]
    up = max((service.uptime for service in seen.services), default=0)
    return "  ".join([*parts, *([f"up {ago(up)}"] if up else [])])


def _headers(stats: bool) -> Sequence[str]:
    return ("SERVICE", "STATE", "HEALTH", "RUNS", "UP", *(("CPU", "MEMORY") if stats else ()))


def _row(service: "Service", lanes: Lanes, stats: bool) -> Sequence[str]:
    health = "" if service.health == "none" else service.health
    up = ago(service.uptime) if service.state == "running" else ""
    used = _used(service) if stats else ()
    return (service.name, service.state, health, _runs(service, lanes), up, *used)


def _runs(service: "Service", lanes: Lanes) -> str:
    """What runs there: of a worker, how many tasks of how many it may run at once."""
    lane = lanes.get(service.name.removesuffix("-worker"))
    return f"{lane.get('active')} of {lane.get('slots')} tasks" if lane else service.image


def _used(service: "Service") -> Sequence[str]:
    cpu = "" if service.cpu is None else f"{service.cpu * 100:.0f} %"
    memory = "" if service.memory is None else f"{service.memory // _MIB} MB"
    return (cpu, memory)


def _afterwards(seen: "Seen", trouble: str, lanes: Lanes) -> list[str]:
    """What is wrong, in words; the queue; and what to do next, where something is."""
    if trouble:
        return [trouble]
    details = [f"{service.name}: {service.detail}" for service in seen.services if service.detail]
    queue = ", ".join(f"{lane.get('pending')} {name}{_oldest(lane)}" for name, lane in lanes.items())
    return [*details, *([f"Queue: {queue}"] if queue else []), *_next(seen)]


def _next(seen: "Seen") -> list[str]:
    if seen.status == "running":
        return []
    if seen.status == "stopped":
        return ["Start it: sfp server start"]
    unwell = next((service.name for service in seen.services if service.health == "unhealthy"), None)
    named = unwell or next(service.name for service in seen.services if service.state != "running")
    return [f"Bring it back: sfp server start    What it said: sfp server logs -s {named}"]


def _lanes(site: "Site", seen: "Seen") -> Lanes:
    """The queue by worker class, where the API tells."""
    if not any(service.name == "api" and service.health == "healthy" for service in seen.services):
        return {}
    try:
        return opening.lanes(opening.health(site.api, opening.owner_token(site.instance)))
    except SfpError:
        return {}


def _oldest(lane: Mapping[str, Any]) -> str:
    seconds = lane.get("oldestSeconds")
    return f" (oldest {ago(seconds)})" if isinstance(seconds, int | float) and seconds >= 1 else ""


app = opening.app_of(status)
