"""`health`: what a server says of itself, over HTTP."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sfp_server.cli import opening, ui
from sfp_server.errors import CheckError, SfpError

URL = Annotated[
    str | None,
    typer.Option("--sfp-server-url", metavar="URL", help="The server (else SFP_SERVER_URL, else one of this machine)."),
]
DETAILED = Annotated[bool, typer.Option("--detailed", "-d", help="With each part of it, the queue, and versions.")]

_KNOWN = ("healthy", "degraded", "unhealthy")
_EXIT = CheckError.exit_code


def health(
    tenant: ui.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    url: URL = None,
    detailed: DETAILED = False,
    json: ui.JSON = False,
) -> None:
    """Ask a server how it is.

    It is healthy, degraded, unhealthy, or unknown where it does not answer; the exit code is 3 unless it is healthy.
    """
    address = _address(url, tenant, base_dir)
    word, told, trouble = _asked(address)
    if json:
        ui.document("health", {**told, "status": word, "url": address, **({"detail": trouble} if trouble else {})})
    else:
        _show(word, address, told, trouble, detailed)
    if word != "healthy":
        raise typer.Exit(_EXIT)


def _address(url: str | None, tenant: str | None, base: Path | None) -> str:
    """The address that was meant; `--tenant` means this machine, whatever the environment says."""
    given = url or (None if tenant else os.environ.get("SFP_SERVER_URL"))
    if given:
        return given.rstrip("/")
    from sfp_server.ops.config import load

    return load(ui.instance(tenant, base)).public_url


def _asked(address: str) -> tuple[str, Mapping[str, Any], str]:
    try:
        told = opening.health(address)
    except SfpError as error:
        return "unknown", {}, error.message
    word = told.get("status")
    return (word if word in _KNOWN else "unknown"), told, ""


def _show(word: str, address: str, told: Mapping[str, Any], trouble: str, detailed: bool) -> None:
    versions = _mapping(told, "versions")
    ui.say("  ".join(part for part in (word, str(versions.get("release", "")), address) if part))
    if trouble:
        ui.say(f"{trouble}\nDoes it run? sfp server status")
    if detailed and told:
        ui.table(_rows(told), ("PART", "HEALTH", "DETAIL"))
        ui.say("Versions: " + ", ".join(f"{name} {value}" for name, value in versions.items()))


def _rows(told: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [(name, *_part(value)) for name, value in _mapping(told, "checks").items()]


def _part(value: Any) -> tuple[str, str]:
    if not isinstance(value, Mapping):
        return str(value), ""
    rest = {name: text for name, text in value.items() if name != "status"}
    return str(value.get("status", "")), ", ".join(f"{name} {text}" for name, text in rest.items())


def _mapping(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = told.get(name)
    return found if isinstance(found, Mapping) else {}


app = opening.app_of(health)
