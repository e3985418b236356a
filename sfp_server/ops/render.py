"""From settings, release and secrets to a bundle: the public files of one instance for one release.

Pure: the same input gives the same bytes, and nothing but the program's own templates is read. No secret stands in a
bundle; the services find theirs in folders that only they can read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sfp_server.errors import SfpError
from sfp_server.ops import compose, embedded, secrets
from sfp_server.ops.config import Config
from sfp_server.ops.instance import Instance
from sfp_server.ops.places import Place
from sfp_server.ops.release import Release
from sfp_server.ops.secrets import Secrets
from sfp_server.ops.templating import template

VERSION = 1

_SECRET_LENGTH = 12


@dataclass(frozen=True)
class Bundle:
    """Files by their path inside the bundle. `hash` is the SHA-256 of `manifest.json`, which names all others.

    `services` are its services in order of their start, without jobs; `places` what has to lie on the host beside it
    (engine compose), secrets among them: their paths, not their content.
    """

    files: Mapping[str, bytes]
    version: str
    hash: str
    services: Sequence[str] = ()
    places: Sequence[Place] = ()

    @property
    def name(self) -> str:
        """The name of its folder under `releases/`."""
        return f"{self.version}-{self.hash[:12]}"


def render(config: Config, release: Release, instance: Instance, values: Secrets) -> Bundle:
    """The bundle of an instance. `values` leave only fingerprints in it, so that a rotation makes another bundle."""
    made = _compose if config.engine == "compose" else _embedded
    files, services, places, more = made(config, release, instance, values)
    manifest = _json({**_manifest(release, files, secrets.fingerprint(values)), **more})
    whole = {**files, "manifest.json": manifest}
    _refuse_secrets(whole, values)
    return Bundle(whole, release.version, sha256(manifest).hexdigest(), services, places)


_Made = tuple[Mapping[str, bytes], Sequence[str], Sequence[Place], Mapping[str, Any]]


def _compose(config: Config, release: Release, instance: Instance, values: Secrets) -> _Made:
    made = compose.render(config, release, instance, values)
    return made.files, made.services, made.places, {"images": dict(sorted(made.images.items()))}


def _embedded(config: Config, release: Release, instance: Instance, values: Secrets) -> _Made:
    environment = embedded.environment(config, release, instance)
    document = embedded.services(config, release, instance)
    files = {
        **{f"env/{service}.env": _lines(own) for service, own in sorted(environment.items())},
        "redis.conf": _redis(instance),
        "services.json": _json(document),
    }
    return files, [service["name"] for service in document["services"] if not service["job"]], (), {}


def _redis(instance: Instance) -> bytes:
    return template(
        "redis.conf.j2",
        socket=str(instance.run / "redis.sock"),
        data=str(instance.data / "redis"),
        auth=str(instance.secrets / "redis/redis-auth.conf"),
        maxmemory=None,
    ).encode()


def _refuse_secrets(files: Mapping[str, bytes], values: Secrets) -> None:
    """No secret stands in a bundle, by whatever way it would come there. Short ones are words that may stand there."""
    for name, value in values.items():
        text = value.reveal().encode()
        found = [path for path, content in files.items() if len(text) >= _SECRET_LENGTH and text in content]
        if found:
            raise SfpError(f"{name} of secrets.yml would stand in {found[0]}.", "Is it part of a value in server.yml?")


def _manifest(release: Release, files: Mapping[str, bytes], fingerprint: str) -> dict[str, Any]:
    return {
        "schema": "sfp.bundle",
        "version": VERSION,
        "release": release.version,
        "config_version": release.config_version,
        "schema_version": release.schema_version,
        "secrets": fingerprint,
        "files": {path: sha256(content).hexdigest() for path, content in sorted(files.items())},
    }


def _lines(values: Mapping[str, str]) -> bytes:
    """An environment file: one `NAME=value` a line, the value as it stands."""
    for name, value in values.items():
        if "\n" in value:
            raise SfpError(f"{name} would break a line: {value!r}.", "Choose a base folder without line breaks.")
    return "".join(f"{name}={value}\n" for name, value in values.items()).encode()


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
