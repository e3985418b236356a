"""Who signs in to a registry: what `docker login` left behind, read as Docker reads it.

https://docs.docker.com/reference/cli/docker/login/#credential-stores: a helper for the registry, else the store of
all, else what stands in the file itself.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from sfp_server.cmd.base import Secret, cmd
from sfp_server.engine.challenge import IDENTITY, Credentials
from sfp_server.engine.reference import HUB
from sfp_server.errors import RemoteError
from sfp_server.host.base import Host

_HUB_KEY: Final = "https://index.docker.io/v1/"
_TIMEOUT = 30  # seconds that a helper may take


def of_docker(host: Host, folder: str) -> Callable[[str], Credentials | None]:
    """Credentials by registry, from the folder of Docker's client on a host (`~/.docker`)."""

    def find(registry: str) -> Credentials | None:
        settings = _settings(host, folder)
        helper = settings.get("credHelpers", {}).get(registry) or settings.get("credsStore")
        found = _from_helper(host, helper, registry) if helper else None
        return found or _from_file(settings, registry)

    return find


def _settings(host: Host, folder: str) -> Mapping[str, Any]:
    try:
        found = json.loads(host.get(f"{folder}/config.json") or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _from_helper(host: Host, helper: str, registry: str) -> Credentials | None:
    key = _HUB_KEY if registry == HUB else registry
    try:
        result = host.run(cmd(f"docker-credential-{helper}", "get", stdin=key, timeout=_TIMEOUT))
        said = json.loads(result.stdout) if result.ok else {}
    except (RemoteError, ValueError):
        return None
    return Credentials(said["Username"], Secret(said["Secret"])) if said.get("Secret") else None


def _from_file(settings: Mapping[str, Any], registry: str) -> Credentials | None:
    known = {_host(key): entry for key, entry in settings.get("auths", {}).items() if isinstance(entry, dict)}
    entry = known.get(registry, {})
    if entry.get("identitytoken"):
        return Credentials(IDENTITY, Secret(entry["identitytoken"]))
    try:
        user, colon, password = base64.b64decode(entry.get("auth", ""), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Credentials(user, Secret(password)) if colon else None


def _host(key: str) -> str:
    """The registry that an entry of the file is for: older ones are addresses."""
    return HUB if key == _HUB_KEY else key.partition("://")[2].partition("/")[0] or key.partition("/")[0]
