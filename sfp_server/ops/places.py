"""What has to lie on the host, outside the bundle, before containers start: secrets, and what they read by a path that
is the same whatever bundle runs. A container whose mounts keep their paths is not made anew."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sfp_server.ops import secrets
from sfp_server.ops.config import Config
from sfp_server.ops.instance import Instance
from sfp_server.ops.secrets import Secrets

CONFIG: Mapping[str, tuple[str, ...]] = {"redis": ("redis.conf",), "caddy": ("Caddyfile", "upstream.caddy")}
"""What each service reads of the bundle, from its own folder on the host."""
CHANGING = "upstream.caddy"
"""The one file that a switch changes while the instance runs."""

Kind = Literal["folder", "secret", "file", "copy"]


@dataclass(frozen=True)
class Place:
    """One of them: a `folder`; a `secret` (`source` is service/name); a `file` of the bundle (`source` is its name
    there); a `copy` of another file of the host (`source` is its path). `uid` owns it; its group is of no matter.
    One that is put there `once` stays as it is where it is already."""

    path: str
    uid: int
    mode: int
    kind: Kind
    source: str = ""
    once: bool = False


def config_folder(instance: Instance, service: str) -> str:
    """Where a service finds what it reads of the bundle."""
    return f"{instance.folder}/config/{service}"


def secrets_folder(instance: Instance, service: str) -> str:
    """Where a service finds its secrets."""
    return f"{instance.secrets}/{service}"


def certificate(config: Config) -> Mapping[str, str]:
    """The files of `tls.mode: files`: their names among Caddy's secrets, and their paths on the host."""
    if config.tls.mode != "files":
        return {}
    return {"certificate.pem": config.tls.certificate or "", "key.pem": config.tls.key or ""}


def places(config: Config, instance: Instance, values: Secrets, owners: Mapping[str, int]) -> Sequence[Place]:
    """All of them, a folder before what lies in it. Secrets belong to their service's user; the rest is public."""
    return (*_public(instance), *_secret(config, instance, values, owners), *_copies(config, instance, owners["caddy"]))


def _public(instance: Instance) -> Iterator[Place]:
    for service, names in CONFIG.items():
        folder = config_folder(instance, service)
        yield Place(folder, 0, 0o755, "folder")
        yield from (Place(f"{folder}/{name}", 0, 0o644, "file", name, once=name == CHANGING) for name in names)


def _secret(config: Config, instance: Instance, values: Secrets, owners: Mapping[str, int]) -> Iterator[Place]:
    for service, names in secrets.secret_files(config, values).items():
        if names:
            folder, uid = secrets_folder(instance, service), owners[service]
            yield Place(folder, uid, 0o700, "folder")
            yield from (Place(f"{folder}/{name}", uid, 0o400, "secret", f"{service}/{name}") for name in names)


def _copies(config: Config, instance: Instance, uid: int) -> Iterator[Place]:
    """A certificate belongs to somebody else, and may lie behind links: Caddy gets a copy of its own."""
    found = certificate(config)
    if found:
        folder = secrets_folder(instance, "caddy")
        yield Place(folder, uid, 0o700, "folder")
        yield from (Place(f"{folder}/{name}", uid, 0o400, "copy", source) for name, source in found.items())
