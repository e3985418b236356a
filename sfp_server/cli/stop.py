"""`stop`."""

from typing import Annotated

import typer

from sfp_server.cli import opening, ui

FORCE = Annotated[
    bool, typer.Option("--force", "-f", help="Kill at once; running tasks are tried again after the next start.")
]


def stop(
    tenant: ui.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    force: FORCE = False,
    dry_run: ui.DRY_RUN = False,
    json: ui.JSON = False,
) -> None:
    """Let running tasks end, then stop the instance.

    Its data stays. A task that does not end in two minutes is handed back, and tried again after the next start.
    """
    from sfp_server.cli.status import body, since
    from sfp_server.ops import lifecycle

    site = opening.site(tenant, base_dir, json, dry_run)
    began = site.clock.monotonic()
    outcome = lifecycle.stop(site, force)
    if json:
        return ui.document("stop", {**body(site, outcome.seen), "changed": outcome.changed, "dryRun": dry_run})
    name = site.instance.tenant
    if not outcome.changed:
        ui.say(f"{name} does not run. Nothing was changed.")
    elif dry_run:
        ui.say("Nothing was changed.")
    else:
        ui.say(f"{name} is stopped, in {since(site, began)}. Its data stays.")
        ui.say("Again: sfp server start")


app = opening.app_of(stop)
