"""How an instance is, from how its services are."""

from collections.abc import Sequence

from sfp_server.engine.base import Service

DATA_SERVICES = ("postgres", "redis", "minio")
DISPATCHERS = ("critical-worker", "normal-worker", "batch-worker")


def overall(services: Sequence[Service]) -> str:
    """`running` all as they should be; `partial` some; `error` none, though some try; `stopped` none runs."""
    good = [service for service in services if is_well(service)]
    if services and len(good) == len(services):
        return "running"
    if good:
        return "partial"
    return "error" if any(service.state in ("running", "starting") for service in services) else "stopped"


def is_well(service: Service) -> bool:
    """It runs, and its check passes where it has one."""
    return service.state == "running" and service.health in ("healthy", "none")


def alive(services: Sequence[Service]) -> list[str]:
    """The names of those that run, well or not."""
    return [service.name for service in services if service.state in ("running", "starting")]
