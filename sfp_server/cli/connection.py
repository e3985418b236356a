"""Which server a client command speaks to, and with which token: flags first, then the environment, then an instance
of this machine."""

import json as _json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfp_server.cli import ui
from sfp_server.errors import SfpError, UsageError

if TYPE_CHECKING:
    from sfp_server.client import Api
    from sfp_server.cmd.base import Secret

URL = Annotated[
    str | None,
    typer.Option("--sfp-server-url", metavar="URL", help="The server (else SFP_SERVER_URL, else one of this machine)."),
]
TOKEN = Annotated[
    str | None,
    typer.Option(
        "--application-token",
        "-t",
        metavar="@FILE|env:NAME",
        help="Where the token is read from (else SFP_SERVER_TOKEN, else the owner's of this machine).",
    ),
]
TENANT = Annotated[
    str | None,
    typer.Option("--tenant", metavar="NAME", help="The instance of this machine; not needed where there is one."),
]

_ELSEWHERE = "Put it into SFP_SERVER_TOKEN, or into a file: -t @FILE"


def connect(url: str | None, token: str | None, tenant: str | None, base: Path | None) -> "Api":
    """The server that was meant. `--tenant` means this machine, whatever the environment says."""
    from sfp_server.client import Api
    from sfp_server.cmd.base import Secret

    if url and tenant:
        raise UsageError("--sfp-server-url and --tenant name two servers.", "Leave one out.")
    environ = {} if tenant else os.environ
    given = _token(token) or environ.get("SFP_SERVER_TOKEN")
    address = url or environ.get("SFP_SERVER_URL")
    if address is None:
        return _of_this_machine(Secret(given) if given else None, tenant, base)
    if not given:
        raise UsageError(f"{address} needs a token.", f"{_ELSEWHERE}. An owner makes one: sfp server token create")
    return Api(address, Secret(given))


def would(api: "Api", method: str, path: str, body: Any = None) -> None:
    """What a dry run says in place of a request."""
    sent = "" if body is None else f" {_json.dumps(body, ensure_ascii=False)}"
    ui.say(f"Would send: {method} {api.url}/sfp/api{path}{sent}", err=True)


def _of_this_machine(given: "Secret | None", tenant: str | None, base: Path | None) -> "Api":
    from sfp_server.client import Api
    from sfp_server.ops.config import load
    from sfp_server.ops.secrets import load as load_secrets

    instance = ui.instance(tenant, base)
    return Api(load(instance).public_url, given or load_secrets(instance)["owner-token"])


def _token(where: str | None) -> str | None:
    """The token that a flag points to; a token itself would stand in the list of processes, and is refused."""
    if where is None:
        return None
    if where.startswith("@"):
        return _from_file(Path(where[1:]))
    if where.startswith("env:"):
        return _from_environment(where[4:])
    raise UsageError("a token on the command line can be read by everyone on this machine.", _ELSEWHERE)


def _from_file(path: Path) -> str:
    try:
        text = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SfpError(
            f"the token cannot be read from {path}: {reason}.", "-t @FILE names a file with the token."
        ) from None
    return text or _nothing(f"{path} is empty.")


def _from_environment(name: str) -> str:
    return os.environ.get(name, "").strip() or _nothing(f"{name} is not set.")


def _nothing(where: str) -> str:
    raise UsageError(f"there is no token: {where}", _ELSEWHERE)
