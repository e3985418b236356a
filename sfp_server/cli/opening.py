"""What the commands of a lifecycle share: the instance they mean, and how a dry run reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sfp_server.cli import ui

if TYPE_CHECKING:
    from sfp_server.ops.site import Site


def site(tenant: str | None, base: Path | None, json: bool, dry: bool = False) -> "Site":
    """What a command works with on the instance that `--tenant` and `--base-dir` mean."""
    from sfp_server.ops.opening import opened

    reporter = Rehearsal(json) if dry else ui.reporter(json)
    return opened(ui.instance(tenant, base), reporter, health, dry)


def health(address: str) -> Mapping[str, Any]:
    """The health document of the API at an address."""
    from sfp_server.client import Api

    with Api(address) as api:
        return api.health()


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
