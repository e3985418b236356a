"""What the commands of a lifecycle share: the instance they mean, and how a dry run reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sfp_server.cli import ui

if TYPE_CHECKING:
    from sfp_server.cmd.base import Secret
    from sfp_server.ops.instance import Instance
    from sfp_server.ops.site import Site


def site(tenant: str | None, base: Path | None, json: bool, dry: bool = False) -> "Site":
    """What a command works with on the instance that `--tenant` and `--base-dir` mean."""
    from sfp_server.ops.opening import opened

    reporter = Rehearsal(json) if dry else ui.reporter(json)
    return opened(ui.instance(tenant, base), reporter, health, dry)


def health(address: str, token: "Secret | str | None" = None) -> Mapping[str, Any]:
    """The health document of the API at an address; with a token that may read it, the queue too."""
    from sfp_server.client import Api

    with Api(address, token) as api:
        return api.health()


def owner_token(instance: "Instance") -> "Secret | None":
    """The token of the instance's owner, where it can be read."""
    from sfp_server.errors import SfpError
    from sfp_server.ops.secrets import load

    try:
        return load(instance).get("owner-token")
    except SfpError:
        return None


def lanes(told: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The queue in a health document, by worker class; empty where it does not tell."""
    queue = told.get("queue")
    rows = [row for row in queue if isinstance(row, Mapping)] if isinstance(queue, list) else []
    return {str(row.get("workerClass")): row for row in rows}


class Rehearsal:
    """The reporter of a dry run: each step by its name, below it what it would do."""

    def __init__(self, json: bool) -> None:
        self._err = json

    def begin(self, step: str) -> None:
        ui.say(step, err=self._err)

    def done(self, step: str, text: str, seconds: float) -> None:
        ui.say(f"{step}\n  {text}", err=self._err)

    def failed(self, step: str, text: str) -> None:
        ui.say(f"{step}\n  failed: {text}", err=self._err)

    def note(self, text: str) -> None:
        ui.say(f"  {text}", err=self._err)


def app_of(command: Any) -> typer.Typer:
    """The command as the one of its module."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(command)
    return app
