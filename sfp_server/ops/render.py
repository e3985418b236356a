"""From settings, release and secrets to a bundle: the public files of one instance for one release.

Pure: the same input gives the same bytes, and nothing but the program's own templates is read. No secret stands in a
bundle; the services find theirs in folders that only they can read.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sfp_server import assets
from sfp_server.errors import SfpError
from sfp_server.ops import embedded, secrets, yamlfile
from sfp_server.ops.config import Config
from sfp_server.ops.instance import Instance
from sfp_server.ops.release import Release
from sfp_server.ops.secrets import Secrets

VERSION = 1


@dataclass(frozen=True)
class Bundle:
    """Files by their path inside the bundle. `hash` is the SHA-256 of `manifest.json`, which names all others."""

    files: Mapping[str, bytes]
    version: str
    hash: str

    @property
    def name(self) -> str:
        """The name of its folder under `releases/`."""
        return f"{self.version}-{self.hash[:12]}"


def render(config: Config, release: Release, instance: Instance, values: Secrets) -> Bundle:
    """The bundle of an instance. `values` leave only a fingerprint in it, so that a rotation makes another bundle."""
    files = _files(config, release, instance)
    manifest = _json(_manifest(release, files, secrets.fingerprint(values)))
    return Bundle({**files, "manifest.json": manifest}, release.version, sha256(manifest).hexdigest())


def template(name: str, **values: Any) -> str:
    """A template of the program, filled in; a name without a value is an error."""
    import jinja2

    environment = jinja2.Environment(  # noqa: S701  # nothing here is HTML
        loader=jinja2.FileSystemLoader(assets.templates()),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json"] = lambda value: yamlfile.flow(value, quoted=True)
    environment.filters["yaml"] = yamlfile.flow
    environment.filters["setting"] = _setting
    return environment.get_template(name).render(values)


def _files(config: Config, release: Release, instance: Instance) -> dict[str, bytes]:
    if config.engine != "embedded":
        raise SfpError(f"engine {config.engine} is not part of release {release.version}.", "Use engine embedded.")
    environment = embedded.environment(config, release, instance)
    services = embedded.services(config, release, instance)
    redis = {"socket": str(instance.run / "redis.sock"), "data": str(instance.data / "redis")}
    return {
        **{f"env/{service}.env": _lines(values) for service, values in sorted(environment.items())},
        "redis.conf": template("redis.conf.j2", **redis, auth=str(instance.secrets / "redis/redis-auth.conf")).encode(),
        "services.json": _json(services),
    }


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


def _setting(value: Any, key: str, example: str) -> str:
    """A setting as a line of YAML; one that is not set as a comment with an example."""
    return f"# {key}: {example}" if value is None else f"{key}: {yamlfile.flow(value)}"


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
