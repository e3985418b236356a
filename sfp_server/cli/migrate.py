"""`migrate`: the server's own migration program, run in an instance."""

from typing import Annotated

import typer

from sfp_server.cli import opening, ui
from sfp_server.errors import CheckError, RemoteError, UsageError

STATUS = Annotated[bool, typer.Option("--status", help="Which migrations are applied, and which are pending.")]
APPLY = Annotated[bool, typer.Option("--apply", help="Apply those that are pending.")]
VERIFY = Annotated[bool, typer.Option("--verify", help="Compare what was applied with this release.")]


def migrate(
    tenant: ui.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    status: STATUS = False,
    apply: APPLY = False,
    verify: VERIFY = False,
    dry_run: ui.DRY_RUN = False,
    json: ui.JSON = False,
) -> None:
    """Show, apply or verify the migrations of the database.

    The instance has to run; its start applies them by itself. The exit code is 3 where --verify found something.
    """
    from sfp_server.ops import lifecycle

    verb = _verb(status, apply, verify)
    site = opening.site(tenant, base_dir, json, dry_run)
    result = lifecycle.migrate(site, [verb, *(["--json"] if json else [])])
    if result.stdout.strip():
        ui.say(result.stdout.rstrip())
    if result.code == CheckError.exit_code:
        ui.say(result.stderr.rstrip(), err=True)
        raise typer.Exit(result.code)
    if not result.ok:
        raise RemoteError(result.stderr.strip().removeprefix("Error: ") or f"migrate failed ({result.code})")


def _verb(status: bool, apply: bool, verify: bool) -> str:
    chosen = [name for name, wanted in (("--status", status), ("--apply", apply), ("--verify", verify)) if wanted]
    if len(chosen) != 1:
        raise UsageError(
            "migrate needs one of --status, --apply and --verify.", "Look first: sfp server migrate --status"
        )
    return chosen[0]


app = opening.app_of(migrate)
