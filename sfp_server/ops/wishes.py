"""What somebody asks of `init`: settings from flags above those of a file, and the file's secrets."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfp_server.cmd.base import Secret
from sfp_server.errors import CheckError, SfpError, UsageError
from sfp_server.ops import config_versions, yamlfile
from sfp_server.ops.config import Http
from sfp_server.ops.instance import Instance, tenants
from sfp_server.ops.secrets import OUTSIDE, Secrets

FIRST_PORT: int = Http().port
_PORTS = 500


@dataclass(frozen=True)
class Wishes:
    """`settings` as they would stand in `server.yml`, `lines` where a file said them, and the file's secrets."""

    settings: Mapping[str, Any]
    lines: Mapping[tuple[str, ...], int]
    secrets: Secrets
    source: str

    def get(self, *path: str) -> Any:
        """The value that was asked for, or nothing."""
        found: Any = self.settings
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    def and_also(self, settings: Mapping[str, Any]) -> "Wishes":
        """The same with these settings above it; what is `None` was not asked for."""
        return Wishes(_merged(self.settings, settings), self.lines, self.secrets, self.source)

    def needs_domain(self, mode: str | None) -> bool:
        """Whether a new instance of these wishes has to have a public host name and has none."""
        if self.get("engine") == "embedded" or self.get("domain") is not None:
            return False
        without = mode == "dev" or self.get("tls", "mode") in ("internal", "off")
        return not without or self.get("target") not in (None, "local")

    def needs_secrets(self) -> list[str]:
        """The secrets that nobody here can make up, since what they open exists already, and that were not given."""
        needed = [name for key, names in OUTSIDE.items() if isinstance(self.get(key), Mapping) for name in names]
        return [name for name in needed if name not in self.secrets]

    def with_secrets(self, given: Secrets) -> "Wishes":
        """The same with these secrets."""
        return Wishes(self.settings, self.lines, {**self.secrets, **given}, self.source)


NOTHING = Wishes({}, {}, {}, "the settings asked for")


def from_file(path: Path) -> Wishes:
    """The wishes in a file: our own form or the published `server.json`, whole or in part, with its secrets."""
    try:
        document = yamlfile.read(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or "it is not UTF-8 text").lower()
        raise UsageError(f"cannot read {path}: {reason}.", "Give a YAML or JSON file: --config-file FILE") from None
    data = dict(document.data)
    secrets = _secrets(data.pop("secrets", None), path)
    settings, problems = config_versions.newest(data, str(path))
    for key, text in problems:
        raise CheckError(f"{path} line {document.line(key)}: {'.'.join(key)}: {text}")
    return Wishes(settings, document.lines, secrets, str(path))


def for_new(wishes: Wishes, instance: Instance, mode: str | None) -> Wishes:
    """The wishes with what a new instance needs beside them: without a host name it ends no TLS, and on the embedded
    engine it has a port of its own."""
    if wishes.get("engine") == "embedded":
        return wishes.and_also({"http": {"port": port(instance, wishes.get("http", "port"))}})
    if mode == "dev" and wishes.get("domain") is None and wishes.get("tls", "mode") is None:
        return wishes.and_also({"tls": {"mode": "off"}})
    return wishes


def secret_name(published: str) -> str:
    """`DOCKER_REGISTRY_TOKEN` as it stands in `secrets.yml`: `docker-registry-token`."""
    return published.lower().replace("_", "-")


def port(instance: Instance, wished: Any) -> Any:
    """The API's port: the one wished for unless another instance here has it, else the first free one."""
    taken = _ports(instance)
    if wished is not None:
        return _untaken(wished, taken)
    for candidate in range(FIRST_PORT, FIRST_PORT + _PORTS):
        if candidate not in taken and _free(candidate):
            return candidate
    raise SfpError(f"no port from {FIRST_PORT} on is free.", "Choose one yourself: --port PORT")


def _untaken(wished: Any, taken: Mapping[int, str]) -> Any:
    if isinstance(wished, int) and wished in taken:
        raise CheckError(f"port {wished} belongs to tenant {taken[wished]}.", "Choose another one: --port PORT")
    return wished


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping):
            inner = below.get(key)
            value = _merged(inner if isinstance(inner, Mapping) else {}, value)
        if value is not None and value != {}:
            merged[key] = value
    return merged


def _secrets(found: Any, path: Path) -> Secrets:
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise CheckError(f"{path}: secrets: must be a mapping of names to texts.")
    odd = [name for name, value in found.items() if not isinstance(value, str) or not value]
    if odd:
        raise CheckError(f"{path}: secrets.{odd[0]}: must be a text.")
    return {secret_name(name): Secret(value) for name, value in found.items()}


def _ports(instance: Instance) -> Mapping[int, str]:
    """The ports of the other instances here; a file that cannot be read holds none."""
    found: dict[int, str] = {}
    for tenant in tenants(instance.base):
        if tenant != instance.tenant:
            found[_port_of(Instance(instance.base, tenant))] = tenant
    return found


def _port_of(instance: Instance) -> int:
    try:
        http = yamlfile.read(instance.settings_file.read_text("utf-8"), "").data.get("http")
    except (OSError, UnicodeDecodeError, CheckError):
        return 0
    chosen = http.get("port", FIRST_PORT) if isinstance(http, dict) else FIRST_PORT
    return chosen if isinstance(chosen, int) else 0


def _free(candidate: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", candidate))
        except OSError:
            return False
    return True
