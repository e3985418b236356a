"""`application-token`: what lets a program or a CI job in."""

from typing import Annotated

import typer

from sfp_server.cli import connection, ui

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Make and revoke the tokens that let programs in.")


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", "-n", metavar="NAME", help="Whose it is.")],
    days: Annotated[int, typer.Option("--expires-in", "-x", metavar="DAYS", min=1, help="When it ends.")] = 30,
    role: Annotated[str, typer.Option(metavar="ROLE", help="owner, member or application.")] = "application",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the token and nothing else.")] = False,
    url: connection.URL = None,
    token: connection.TOKEN = None,
    tenant: connection.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    dry_run: ui.DRY_RUN = False,
    json: ui.JSON = False,
) -> None:
    """Make a token; it is shown this once."""
    from sfp_server.client import codec

    with connection.connect(url, token, tenant, base_dir) as api:
        if dry_run:
            asked = {"name": name, "expiresIn": days, "role": role}
            return connection.would(api, "POST", "/application-tokens", asked)
        made = api.create_token(name, days=days, role=role)
    if json:
        return ui.document("application-token", {**codec.body(made), "token": made.token.reveal()})
    ui.say(made.token.reveal())
    if not quiet:
        ends = f" until {made.expires_at:%Y-%m-%d}" if made.expires_at else ""
        ui.say(f"Token {made.id} for {name}, role {made.role}{ends}. Keep it now: only its hash is stored.", err=True)


@app.command("list")
def list_(
    cursor: Annotated[str | None, typer.Option(metavar="CURSOR", help="Where an earlier list ended.")] = None,
    url: connection.URL = None,
    token: connection.TOKEN = None,
    tenant: connection.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    json: ui.JSON = False,
) -> None:
    """List the tokens: whose, until when, last used."""
    from datetime import UTC, datetime

    from sfp_server.client import codec

    with connection.connect(url, token, tenant, base_dir) as api:
        page = api.tokens(cursor=cursor)
    if json:
        return ui.document("application-tokens", codec.body(page))
    now = datetime.now(UTC)
    rows = [
        (one.id, one.name, one.role, one.state(now), *map(_day, (one.created_at, one.expires_at, one.last_used_at)))
        for one in page.items
    ]
    ui.table(rows, ("ID", "NAME", "ROLE", "STATE", "CREATED", "EXPIRES", "LAST USED"))
    if page.next:
        ui.say(f"More: sfp server application-token list --cursor {page.next}")


@app.command()
def revoke(
    id: Annotated[str, typer.Option("--id", "-i", metavar="ID", help="The token, as the list shows it.")],
    url: connection.URL = None,
    token: connection.TOKEN = None,
    tenant: connection.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    dry_run: ui.DRY_RUN = False,
    json: ui.JSON = False,
) -> None:
    """End a token at once."""
    with connection.connect(url, token, tenant, base_dir) as api:
        if dry_run:
            return connection.would(api, "DELETE", f"/application-tokens/{id}")
        api.revoke_token(id)
    if json:
        return ui.document("application-token-revoked", {"id": id})
    ui.say(f"Revoked {id}: it is refused from now on.")


def _day(moment: object) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "never"
