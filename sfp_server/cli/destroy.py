"""`destroy`."""

from typing import TYPE_CHECKING, Annotated

import typer

from sfp_server.cli import opening, ui
from sfp_server.errors import UsageError

if TYPE_CHECKING:
    from sfp_server.ops.site import Site

KEEP_DATA = Annotated[
    bool, typer.Option("--keep-data", help="Keep the data, backups, settings and secrets: a start brings it back.")
]


def destroy(
    tenant: ui.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    keep_data: KEEP_DATA = False,
    yes: ui.YES = False,
    dry_run: ui.DRY_RUN = False,
    json: ui.JSON = False,
) -> None:
    """Stop the instance and remove it with all its data.

    Shows what goes (-) and what stays (=), and asks. With --yes nobody looks at it: then name the tenant.
    """
    from sfp_server.cli.status import body
    from sfp_server.ops import lifecycle

    site = opening.site(tenant, base_dir, json, dry_run)
    if tenant is None and yes and not (keep_data or dry_run):
        raise UsageError(
            "destroy --yes removes data that nobody is asked about, so it takes no tenant that was not named.",
            f"Name it: --tenant {site.instance.tenant}",
        )
    for line in _what_goes(site, keep_data):
        ui.say(line, err=json)
    if not dry_run:
        ui.confirm(_question(site, keep_data), yes)
    outcome = lifecycle.destroy(site, keep_data)
    if json:
        told = {**body(site, outcome.seen), "kept": list(lifecycle.KEPT) if keep_data else [], "dryRun": dry_run}
        ui.document("destroy", told)
    elif dry_run:
        ui.say("Nothing was changed.")
    else:
        ui.say(_said(site, keep_data))


def _what_goes(site: "Site", keep_data: bool) -> list[str]:
    from sfp_server.cmd import linux
    from sfp_server.ops.site import look
    from sfp_server.ops.state import alive

    running = alive(look(site).services)
    size = linux.parse_size(site.observed.run(linux.size(site.instance.data)).stdout)
    data = f"{size / 1e6:.0f} MB: database, files, queue" if size else "none"
    mark = "=" if keep_data else "-"
    return [
        f"{site.instance.tenant}, in {site.instance.folder}",
        *([f"  - services   {len(running)} running"] if running else []),
        f"  {mark} data       {data}",
        f"  {mark} settings   server.yml, secrets.yml, backups",
        "  - the rest   releases, logs, journal",
    ]


def _question(site: "Site", keep_data: bool) -> str:
    if keep_data:
        return f"Remove {site.instance.tenant}, but for what is kept?"
    return f"Remove {site.instance.tenant} and all its data? It cannot be had back."


def _said(site: "Site", keep_data: bool) -> str:
    if keep_data:
        return f"{site.instance.tenant} is removed; its data stays.\nBring it back with it: sfp server start"
    return f"{site.instance.tenant} is removed."


app = opening.app_of(destroy)
