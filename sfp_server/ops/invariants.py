"""What holds for every `compose.yml` that is made here, whatever its settings: checked before one is written.

A rule yields what is wrong with one service, in words that follow its name.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from sfp_server.errors import SfpError

Service = Mapping[str, Any]
Document = Mapping[str, Any]
Rule = Callable[[str, Service, Document], Iterator[str]]

EDGE = "caddy"
"""The one service that may be reached from beyond the machine."""
SOCKET = "/var/run/docker.sock"
SOCKET_HOLDER = "launcher"
SOCKET_USERS = ("critical-worker", "normal-worker", "batch-worker")
"""Who may open the launcher's own socket."""
JOBS = ("migrate",)
"""Run to their end by a command; `up` leaves them alone."""
DATA = ("postgres", "redis", "minio", "seaweedfs")

_IMAGE = re.compile(r"[a-z0-9.\[\]:-]+(?:/[a-z0-9._-]+)+:[\w.-]+@sha256:[0-9a-f]{64}")
_SECRETS = re.compile(r"/tenants/[^/]+/secrets/([^/]+)$")
_CAPABILITIES: Mapping[str, list[str]] = {EDGE: ["NET_BIND_SERVICE"]}
_NEVER = (
    "build", "container_name", "develop", "devices", "environment", "extends", "ipc", "pid", "privileged", "secrets",
    "userns_mode",
)  # fmt: skip
_FASTEST = ("1s", "2s")


def check(document: Document) -> None:
    """Refuse a document that breaks a rule; the error names each service and what is wrong with it."""
    found = [
        f"{name}: {said}" for name, service in document["services"].items() for said in wrong(name, service, document)
    ]
    if found:
        raise SfpError(
            "the bundle breaks rules of its own:\n  " + "\n  ".join(found),
            "This is a mistake in the program's fragments; nothing was written.",
        )


def wrong(name: str, service: Service, document: Document) -> Iterator[str]:
    """What is wrong with one service."""
    for rule in (_pinned, _published, _networks, _watched, _limited, _kept, _unprivileged, _mounts, _ordered, _plain):
        yield from rule(name, service, document)


def _pinned(name: str, service: Service, document: Document) -> Iterator[str]:
    if not _IMAGE.fullmatch(str(service.get("image"))):
        yield f"image is not name:tag@sha256:…, is {service.get('image')}"


def _published(name: str, service: Service, document: Document) -> Iterator[str]:
    for port in service.get("ports", ()):
        host = port.get("host_ip")
        if host is None:
            yield f"port {port.get('published')} names no address of the host"
        elif name != EDGE and not ip_address(host).is_loopback:
            yield f"port {port['published']} is published on {host}; only {EDGE} may be reached from beyond the machine"


def _networks(name: str, service: Service, document: Document) -> Iterator[str]:
    networks, joined = document["networks"], service.get("networks", [])
    yield from (f"network {network} is not defined" for network in joined if network not in networks)
    if name in DATA:
        outward = [network for network in joined if not networks.get(network, {}).get("internal")]
        yield from (f"holds data and stands on {network}, which is not internal" for network in outward)
    if service.get("network_mode") not in (None, "none"):
        yield f"network_mode is {service['network_mode']}"
    if not joined and service.get("network_mode") != "none":
        yield "stands on the default network"


def _watched(name: str, service: Service, document: Document) -> Iterator[str]:
    health = service.get("healthcheck")
    if name in JOBS:
        return
    if not health or not health.get("test"):
        yield "has no health check"
    elif health.get("start_interval") not in _FASTEST or not health.get("start_period"):
        yield "its health check does not look every second while it starts"


def _limited(name: str, service: Service, document: Document) -> Iterator[str]:
    for limit in ("mem_limit", "cpus", "pids_limit"):
        if not service.get(limit):
            yield f"has no {limit}"


def _kept(name: str, service: Service, document: Document) -> Iterator[str]:
    wanted = "no" if name in JOBS else "unless-stopped"
    if service.get("restart") != wanted:
        yield f"restart is not {wanted}"
    if name in JOBS and not service.get("profiles"):
        yield "is a job, and has no profile that keeps up from starting it"
    options = service.get("logging", {}).get("options", {})
    if not options.get("max-size") or not options.get("max-file"):
        yield "its log is not rotated"


def _unprivileged(name: str, service: Service, document: Document) -> Iterator[str]:
    if service.get("security_opt") != ["no-new-privileges:true"]:
        yield "may gain privileges"
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add", []) != _CAPABILITIES.get(name, []):
        yield "has capabilities that it needs not"
    if service.get("read_only") is not True:
        yield "may write to its own system"
    if not re.fullmatch(r"\d+:\d+", str(service.get("user"))):
        yield "has no fixed user and group"


def _mounts(name: str, service: Service, document: Document) -> Iterator[str]:
    for volume in service.get("volumes", ()):
        source, target = volume["source"], volume["target"]
        if volume["type"] == "bind" and volume.get("bind", {}).get("create_host_path") is not False:
            yield f"would make {source} on the host where it is missing"
        if volume["type"] == "volume" and source not in document["volumes"]:
            yield f"volume {source} is not defined"
        if SOCKET in (source, target) and name != SOCKET_HOLDER:
            yield f"holds the Docker socket; only {SOCKET_HOLDER} may"
        if source == SOCKET_HOLDER and name not in (SOCKET_HOLDER, *SOCKET_USERS):
            yield f"can reach the socket of {SOCKET_HOLDER}"
        yield from _secrets(name, volume)


def _secrets(name: str, volume: Mapping[str, Any]) -> Iterator[str]:
    """One folder a service, read-only; the places of the API share theirs."""
    owner = _SECRETS.search(volume["source"])
    own = "api" if name.startswith("api-") else name
    whose = owner[1] if owner else None
    sound = (whose, volume["target"], volume.get("read_only")) == (own, "/run/secrets", True)
    if (owner or volume["target"] == "/run/secrets") and not sound:
        yield f"mounts {volume['source']} at {volume['target']}, which is not its own folder of secrets, read-only"


def _ordered(name: str, service: Service, document: Document) -> Iterator[str]:
    for other, how in service.get("depends_on", {}).items():
        if other not in document["services"]:
            yield f"depends on {other}, which is not there"
        if how.get("condition") != "service_healthy":
            yield f"does not wait until {other} is healthy"


def _plain(name: str, service: Service, document: Document) -> Iterator[str]:
    """Nothing that this design has no use for, and no environment but from its file."""
    yield from (f"has {key}" for key in _NEVER if key in service)
    if not service.get("env_file"):
        yield "has no environment file"
