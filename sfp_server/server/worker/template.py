"""The fixed template of a sandbox in Docker: what every container gets, and the networks it is on. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from sfp_server.server.worker.sandbox import Order

UID: Final = 10002  # the user of the image who owns nothing
CHILD: Final = ("python3", "-I", "-S", "-B", "/opt/sfp/sfp_server/server/worker/child.py")
TENANT: Final = "sfp.tenant"  # labels
TASK: Final = "sfp.task"
LEASE: Final = "sfp.lease"

NOWHERE: Final = "sfp-nowhere"
_LINK_LOCAL: Final = "169.254.0.0/16"  # clouds answer there, 169.254.169.254, with credentials of the machine
_OURS: Final = "169.254.32.0/19"  # where Docker takes the sandboxes' addresses from
_BRIDGE: Final = "com.docker.network.bridge"
_OUT_OF_MEMORY_FIRST: Final = 500  # where the machine itself has no memory left, a sandbox ends before a service
_MOUNTED: Final = "rw,exec,nosuid,nodev"
_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "LANG": "C.UTF-8",
        "USER": "sfp",
        "LOGNAME": "sfp",
        "HOME": "/sandbox/home",
        "SFP_WORK": "/sandbox/task",
        "TMPDIR": "/tmp",  # noqa: S108
    }
)


@dataclass(frozen=True)
class Template:
    """What all sandboxes of a launcher have in common. `image` is a digest, so it names one content for ever."""

    tenant: str
    image: str
    cpus: float
    network: str


def name(tenant: str, order: Order) -> str:
    return f"sfp-{tenant}-task-{order.task}-{order.lease}"


def container(template: Template, order: Order) -> dict[str, Any]:
    """One container, as the Engine's API takes it. Nothing of the document is in it: `inspect` shows all this."""
    return {
        "Image": template.image,
        "Entrypoint": list(CHILD),
        "Cmd": [],
        "User": f"{UID}:{UID}",
        "WorkingDir": "/sandbox",
        "Hostname": "sandbox",
        "Env": [f"{variable}={value}" for variable, value in _ENVIRONMENT.items()],
        "Labels": {TENANT: template.tenant, TASK: order.task, LEASE: str(order.lease)},
        "OpenStdin": True,
        "StdinOnce": True,  # the end of the document is the end of its input
        "Tty": False,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {"NetworkMode": template.network, **_bounds(order, template.cpus), **_powerless()},
    }


def network(template: Template) -> dict[str, Any]:
    """The one on which sandboxes reach repositories and Salesforce, and not each other."""
    return _bridge(template.network, {TENANT: template.tenant}, {})


def nowhere() -> dict[str, Any]:
    """A network without a way out, on which the link-local addresses lie: who is on it too asks for the metadata
    address there, and nobody answers. The machine has no address on it, so its own way to them stays.

    One for all tenants: an address range is on one network only."""
    ranges = {"Config": [{"Subnet": _LINK_LOCAL, "IPRange": _OURS}]}
    kept_off = {f"{_BRIDGE}.inhibit_ipv4": "true"}
    return {**_bridge(NOWHERE, {"sfp.network": "nowhere"}, kept_off), "Internal": True, "IPAM": ranges}


def _bridge(name: str, labels: Mapping[str, str], options: Mapping[str, str]) -> dict[str, Any]:
    apart = {f"{_BRIDGE}.enable_icc": "false"}
    return {"Name": name, "Driver": "bridge", "Labels": dict(labels), "Options": {**apart, **options}}


def _bounds(order: Order, cpus: float) -> dict[str, Any]:
    """Files in memory count as memory, and there is no swap beside it."""
    memory = order.limits.memory
    return {
        "Memory": memory,
        "MemorySwap": memory,
        "NanoCpus": int(cpus * 1_000_000_000),
        "PidsLimit": order.limits.pids,
        "OomScoreAdj": _OUT_OF_MEMORY_FIRST,
        "Tmpfs": {
            "/sandbox": f"{_MOUNTED},size={memory},mode=0700,uid={UID},gid={UID}",
            "/tmp": f"{_MOUNTED},size={memory},mode=1777",  # noqa: S108
        },
    }


def _powerless() -> dict[str, Any]:
    return {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "Privileged": False,
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "LogConfig": {"Type": "none"},  # what it says goes to who attached, and nowhere else
        "RestartPolicy": {"Name": "no"},
    }
