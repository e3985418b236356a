"""`health`: what a server says of itself, over HTTP."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfp_server.cli import opening, ui
from sfp_server.errors import CheckError, SfpError

if TYPE_CHECKING:
    from sfp_server.cmd.base import Secret

URL = Annotated[
    str | None,
    typer.Option("--sfp-server-url", metavar="URL", help="The server (else SFP_SERVER_URL, else one of this machine)."),
]
DETAILED = Annotated[bool, typer.Option("--detailed", "-d", help="With each part of it, the queue, and versions.")]

_KNOWN = ("healthy", "degraded", "unhealthy")
_EXIT = CheckError.exit_code
_PARTS = ("PART", "ANSWER", "AFTER")
_QUEUE = ("QUEUE", "WAITING", "RUNNING", "AT ONCE")
_COUNTS = ("pending", "active", "slots")


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
    address, token = _server(url, tenant, base_dir)
    word, told, trouble = _asked(address, token)
    if json:
        ui.document("health", {**told, "status": word, "url": address, **({"detail": trouble} if trouble else {})})
    else:
        _show(word, address, told, trouble, detailed)
    if word != "healthy":
        raise typer.Exit(_EXIT)


def _server(url: str | None, tenant: str | None, base: Path | None) -> "tuple[str, Secret | str | None]":
    """The address that was meant, and a token for it where there is one; `--tenant` means this machine, whatever the
    environment says. Health is told without a token too, but for the queue."""
    given = url or (None if tenant else os.environ.get("SFP_SERVER_URL"))
    if given:
        return given.rstrip("/"), os.environ.get("SFP_SERVER_TOKEN")
    from sfp_server.ops.config import load

    instance = ui.instance(tenant, base)
    return load(instance).public_url, opening.owner_token(instance)


def _asked(address: str, token: "Secret | str | None") -> tuple[str, Mapping[str, Any], str]:
    try:
        told = opening.health(address, token)
    except SfpError as error:
        return "unknown", {}, error.message
    word = told.get("status")
    return (word if word in _KNOWN else "unknown"), told, ""


def _show(word: str, address: str, told: Mapping[str, Any], trouble: str, detailed: bool) -> None:
    ui.say("  ".join(part for part in (word, str(told.get("version", "")), address) if part))
    if trouble:
        ui.say(f"{trouble}\nDoes it run? sfp server status")
    for name in () if detailed else _failed(told):
        ui.say(f"{name} does not answer.")
    if detailed and told:
        _show_details(told)


def _show_details(told: Mapping[str, Any]) -> None:
    ui.table([(check.get("name"), check.get("status"), f"{check.get('ms')} ms") for check in _checks(told)], _PARTS)
    lanes = opening.lanes(told)
    if lanes:
        ui.table([(name, *map(lane.get, _COUNTS)) for name, lane in lanes.items()], _QUEUE)
    versions = told.get("versions")
    if isinstance(versions, Mapping):
        ui.say("Versions: " + ", ".join(f"{name} {value}" for name, value in versions.items()))


def _failed(told: Mapping[str, Any]) -> list[str]:
    return [str(check.get("name")) for check in _checks(told) if check.get("status") != "ok"]


def _checks(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = told.get("checks")
    return [check for check in found if isinstance(check, Mapping)] if isinstance(found, list) else []


app = opening.app_of(health)
