"""The services of an instance as containers: one `compose.yml`, with what Caddy, Redis and systemd read.

A fragment says what is particular to a service; what is the same for all is added here, and `check` then holds the
whole against the rules. Nothing is left for Compose to fill in, and no path depends on the bundle's own folder, so a
service that another bundle has too is not made anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sfp_server.errors import SfpError
from sfp_server.ops import compose_settings, composefile, places, secrets, yamlfile
from sfp_server.ops.compose_settings import PORT
from sfp_server.ops.config import Config
from sfp_server.ops.config_versions import CLASSES
from sfp_server.ops.instance import Instance
from sfp_server.ops.invariants import JOBS, check
from sfp_server.ops.places import Place
from sfp_server.ops.release import Release
from sfp_server.ops.secrets import Secrets
from sfp_server.ops.templating import fragment, template

FRAGMENTS = ("core", "workers", "edge")
SLOTS = ("api-a", "api-b")
"""The two places of the API. One runs; `upstream.caddy` names it, and Compose starts it by the profile of its name."""

_PARTS = ("services", "networks", "volumes")
_HEALTH = {"interval": "30s", "timeout": "5s", "retries": 3, "start_period": "60s", "start_interval": "1s"}
_NOT_MADE = {"bind": {"create_host_path": False}}  # Docker would make what is missing, as a folder of root


@dataclass(frozen=True)
class Rendered:
    """The Compose part of a bundle: its files, what has to lie on the host beside it, its images by their names in the
    release, and its services in order of their start, as `status` calls them."""

    files: Mapping[str, bytes]
    places: Sequence[Place]
    images: Mapping[str, str]
    services: Sequence[str]


def render(config: Config, release: Release, instance: Instance, values: Secrets) -> Rendered:
    """Everything of the Compose engine but the manifest."""
    files = _files(config, release, instance)
    images = compose_settings.images(config, release)
    marks = _Marks(instance, files, secrets.fingerprints(config, values), bool(places.certificate(config)))
    document = merged(config, instance, images, marks)
    check(document)
    owners = {_shared(name): int(service["user"].partition(":")[0]) for name, service in document["services"].items()}
    files["compose.yml"] = composefile.text(document, _head(config, release))
    files["compose.engine-24.yml"] = composefile.before_25(document)
    return Rendered(
        files=files,
        places=places.places(config, instance, values, owners),
        images=images,
        services=tuple(name for name in owners if name not in JOBS),
    )


def _files(config: Config, release: Release, instance: Instance) -> dict[str, bytes]:
    environments = compose_settings.environment(config, release)
    unit = template("sfp-server.service.j2", tenant=config.tenant, folder=str(instance.folder))
    return {
        **{f"env/{name}.env": composefile.environment(own) for name, own in sorted(environments.items())},
        "redis.conf": compose_settings.redis(),
        "Caddyfile": compose_settings.caddyfile(config),
        "upstream.caddy": template("upstream.caddy.j2", slot=SLOTS[0], port=PORT).encode(),
        "sfp-server.service": unit.encode(),
    }


@dataclass(frozen=True)
class _Marks:
    """What a service has that its own lines do not show: its files, and its secrets by their fingerprint."""

    instance: Instance
    files: Mapping[str, bytes]
    secrets: Mapping[str, str]
    certificate: bool

    def labels(self, name: str) -> dict[str, str]:
        """Docker makes a service anew when one of these changes. Caddy's files are not among them: it reads again."""
        read = [f"env/{name}.env", *([] if name == "caddy" else places.CONFIG.get(name, ()))]
        content = b"\0".join(self.files[path] for path in read)
        labels = {"sfp.tenant": self.instance.tenant, "sfp.config": sha256(content).hexdigest()[:12]}
        return {**labels, **({"sfp.secrets": self.secrets[name]} if name in self.secrets else {})}

    def mounts(self, name: str) -> list[dict[str, Any]]:
        """The folder of the service's secrets, where it has some."""
        if name not in self.secrets and not (name == "caddy" and self.certificate):
            return []
        source = places.secrets_folder(self.instance, name)
        return [{"type": "bind", "source": source, "target": "/run/secrets", "read_only": True}]


def merged(config: Config, instance: Instance, images: Mapping[str, str], marks: _Marks) -> dict[str, Any]:
    """All fragments as one document, each service complete."""
    values = {
        "config": {service: places.config_folder(instance, service) for service in places.CONFIG},
        "database": "bundled" if config.database == "bundled" else "outside",
        "objects": config.object_store,
        "classes": CLASSES,
        "images": images,
        "ports": compose_settings.ports(config),
        "ipv6_subnet": str(compose_settings.subnet(config.tenant)) if config.http.ipv6 else "",
    }
    parts = [yamlfile.read(fragment(f"{name}.yml.j2", **values), f"compose/{name}.yml.j2").data for name in FRAGMENTS]
    whole = {key: {name: item for part in parts for name, item in part.get(key, {}).items()} for key in _PARTS}
    services = {name: _complete(name, service, whole["services"], marks) for name, service in whole["services"].items()}
    return {"name": f"sfp-{config.tenant}", **whole, "services": services}


def _complete(name: str, service: Mapping[str, Any], services: Iterable[str], marks: _Marks) -> dict[str, Any]:
    """A service with what is the same for all, in the order in which a person reads it."""
    own = _shared(name)
    whole = {
        **_usual(name),
        **{key: value for key, value in service.items() if key != "x-after"},
        "env_file": [f"env/{own}.env"],
        "depends_on": _after(service.get("x-after", ()), services),
        "volumes": [_careful(volume) for volume in [*service.get("volumes", ()), *marks.mounts(own)]],
        "labels": marks.labels(own),
        **({"healthcheck": {**service["healthcheck"], **_HEALTH}} if "healthcheck" in service else {}),
    }
    if unknown := whole.keys() - set(composefile.ORDER):
        raise SfpError(f"{name}: {', '.join(sorted(unknown))} has no place in a compose.yml of ours.")
    return {key: whole[key] for key in composefile.ORDER if whole.get(key)}


def _usual(name: str) -> dict[str, Any]:
    return {
        "restart": "no" if name in JOBS else "unless-stopped",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}},
    }


def _after(names: Iterable[str], services: Iterable[str]) -> dict[str, Any]:
    """Only those that are part of this instance. Either API will do: Compose knows the one whose profile is chosen."""
    found: dict[str, Any] = {}
    for name in names:
        if name == "api":
            found |= {slot: {"condition": "service_healthy", "required": False} for slot in SLOTS}
        elif name in services:
            found[name] = {"condition": "service_healthy"}
    return found


def _careful(volume: Mapping[str, Any]) -> dict[str, Any]:
    return {**volume, **(_NOT_MADE if volume["type"] == "bind" else {})}


def _shared(service: str) -> str:
    """Both places of the API share one name, one environment and one folder of secrets."""
    return "api" if service in SLOTS else service


def _head(config: Config, release: Release) -> str:
    return (
        f"The services of {config.tenant}, release {release.version}. Rendered from server.yml; a change made here is "
        f"gone with the next start.\nBy hand: docker compose --profile {SLOTS[0]} ps"
    )
