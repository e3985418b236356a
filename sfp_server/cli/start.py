"""`start`."""

from typing import Annotated

import typer

from sfp_server.cli import opening, ui

RESTART = Annotated[bool, typer.Option("--restart", "-r", help="Stop it first, where it runs.")]
DAEMON = Annotated[bool, typer.Option("--daemon", help="Accepted; an instance always runs in the background.")]
NO_BROWSER = Annotated[bool, typer.Option("--no-browser", help="Accepted; no browser is opened.")]


def start(
    tenant: ui.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    restart: RESTART = False,
    daemon: DAEMON = False,
    no_browser: NO_BROWSER = False,
    dry_run: ui.DRY_RUN = False,
    json: ui.JSON = False,
) -> None:
    """Start the instance, or bring back what died of it.

    Checks the machine, writes what runs, starts the data services, migrates, starts the rest, and asks the API whether
    all belongs together. One that runs so already is left alone.
    """
    from sfp_server.cli.status import body, since
    from sfp_server.ops import lifecycle

    site = opening.site(tenant, base_dir, json, dry_run)
    began = site.clock.monotonic()
    outcome = lifecycle.start(site, restart)
    if json:
        return ui.document("start", {**body(site, outcome.seen), "changed": outcome.changed, "dryRun": dry_run})
    name = site.instance.tenant
    if not outcome.changed:
        ui.say(f"{name} runs already: {outcome.seen.manifest.get('release')} at {site.url}. Nothing was changed.")
    elif dry_run:
        ui.say("Nothing was changed.")
    else:
        ui.say(f"{name} runs at {site.url}, started in {since(site, began)}.")
        ui.say("Next: sfp server status")


app = opening.app_of(start)
