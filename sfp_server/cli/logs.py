"""`logs`."""

import json as _json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from sfp_server.cli import opening, ui
from sfp_server.errors import SfpError, UsageError

SERVICE = Annotated[
    list[str] | None,
    typer.Option("--service", "-s", metavar="NAME", help="Only this service (app is api); more than once for more."),
]
FOLLOW = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")]
TAIL = Annotated[int, typer.Option("--tail", min=0, metavar="N", help="How many last lines of each service.")]

_ALIASES = {"app": "api"}


def logs(
    tenant: ui.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    service: SERVICE = None,
    follow: FOLLOW = False,
    tail: TAIL = 100,
    json: ui.JSON = False,
) -> None:
    """Show what services write, oldest first.

    With --json --follow, one JSON document a line.
    """
    site = opening.site(tenant, base_dir, json)
    lines = _lines(site, service or [], tail, follow)
    if not json:
        for line in lines:
            ui.say(readable(line))
    elif follow:
        for line in lines:
            ui.say(_json.dumps(entry(line), ensure_ascii=False))
    else:
        ui.document("logs", {"items": [entry(line) for line in lines], "next": None})


def entry(line: str) -> dict[str, Any]:
    """A line `service | time text` by its parts; text that is a JSON object gives its fields too."""
    service, _, rest = line.partition(" | ")
    at, _, text = rest.partition(" ")
    if not (at[:2].isdigit() and at.endswith("Z")):
        return {"service": service, "message": rest}
    return {"service": service, "at": at, **_parsed(text)}


def readable(line: str) -> str:
    """The line for a person: a JSON object as `level message name=value …`, anything else as it is."""
    fields = entry(line)
    if not {"level", "message", "at"} <= set(fields):
        return line
    service, at, level, message = (fields.pop(name) for name in ("service", "at", "level", "message"))
    rest = [f"{name}={value}" for name, value in fields.items() if name != "logger" and value not in (None, "")]
    return " ".join([f"{service} | {at} {level:<7} {message}", *rest])


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = _json.loads(text)
    except ValueError:
        return {"message": text}
    return found if isinstance(found, dict) else {"message": text}


def _lines(site: Any, services: list[str], tail: int, follow: bool) -> Iterator[str]:
    from sfp_server.ops.site import look

    seen = look(site)
    if seen.release is None:
        raise SfpError(f"{site.instance.tenant} was never started, so nothing was written.", "sfp server start")
    known = [found.name for found in seen.services]
    wanted = [_ALIASES.get(name, name) for name in services]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise UsageError(f'there is no service "{unknown[0]}".', f"There are: {', '.join(known)}")
    lines: Iterator[str] = site.watching.logs(str(seen.release), wanted, tail, follow)
    return lines


app = opening.app_of(logs)
