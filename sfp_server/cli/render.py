"""`render`: the files that would run, to look at."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfp_server.cli import ui
from sfp_server.errors import UsageError

if TYPE_CHECKING:
    from sfp_server.ops.render import Bundle

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def render(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="A folder that is not there yet.")],
    tenant: ui.TENANT = None,
    release: Annotated[
        Path | None, typer.Option("--release", metavar="FILE", help="The manifest of a release other than the one set.")
    ] = None,
    base_dir: ui.BASE_DIR = None,
    dry_run: ui.DRY_RUN = False,
    json: ui.JSON = False,
) -> None:
    """Write the files that start would run to a folder."""
    from sfp_server.ops import config, files, releases, secrets
    from sfp_server.ops.render import render as rendered

    instance = ui.instance(tenant, base_dir)
    if output.exists():
        raise UsageError(f"{output} is there already.", "Name a folder that is not.")
    settings = config.load(instance)
    bundle = rendered(settings, releases.chosen(settings, instance, release), instance, secrets.load(instance))
    if not dry_run:
        files.make_folder(output.absolute(), {path: (content, 0o644) for path, content in bundle.files.items()})
    if json:
        names = sorted(bundle.files)
        ui.document("render", {"bundle": bundle.name, "hash": bundle.hash, "output": str(output), "files": names})
    else:
        _tell(bundle, output, dry_run)


def _tell(bundle: "Bundle", output: Path, dry_run: bool) -> None:
    ui.say(f"{'Would write' if dry_run else 'Wrote'} {output}, bundle {bundle.name}")
    for path, content in sorted(bundle.files.items()):
        ui.say(f"  {path:<28} {len(content):>6} bytes")
