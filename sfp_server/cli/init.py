"""`init`: a new instance's files."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfp_server.cli import ui
from sfp_server.cli.secret_flags import NoSecretFlags
from sfp_server.errors import CheckError, UsageError

if TYPE_CHECKING:
    from sfp_server.cmd.base import Secret
    from sfp_server.ops.draft import Draft
    from sfp_server.ops.instance import Instance
    from sfp_server.ops.wishes import Wishes

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_FORCE = "Change what is there to what was asked, after showing the difference. Secrets stay."
_MODES = ("dev", "prod")


@app.command(cls=NoSecretFlags)
def init(
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", metavar="NAME", help="The instance's name.")] = None,
    domain: Annotated[str | None, typer.Option(help="The public host name: sfp.acme.com.")] = None,
    engine: Annotated[str | None, typer.Option(help="compose (default), or embedded for a trial.")] = None,
    target: Annotated[str | None, typer.Option(help="local (default), existing, aws, azure or hetzner.")] = None,
    deployment: Annotated[str | None, typer.Option(help="self (default) or managed.")] = None,
    worker_counts: Annotated[
        str | None, typer.Option(metavar="C,N,B", help="Tasks at once: critical, normal, batch (1,1,1).")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="prod (default), or dev: on this machine, without a domain.")] = None,
    port: Annotated[int | None, typer.Option(help="The API's port on this machine (3029 or the next free).")] = None,
    base_dir: ui.BASE_DIR = None,
    config_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings and secrets to start from, YAML or JSON.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help=_FORCE)] = False,
    interactive: Annotated[bool | None, typer.Option(help="Ask for what is missing (default: on a terminal).")] = None,
    dry_run: ui.DRY_RUN = False,
    json: ui.JSON = False,
) -> None:
    """Write the settings and secrets of a new instance."""
    flags = {"domain": domain, "engine": engine, "target": target, "deployment": deployment, "http": {"port": port}}
    wishes = _wishes(config_file, {"tenant": tenant, **flags, "workers": _workers(worker_counts)})
    asking = ui.interactive() if interactive is None else interactive
    instance = _instance(wishes, base_dir, asking)
    existed = instance.settings_file.exists()
    draft = _draft(instance, wishes, _checked(mode), asking, force)
    if existed and not json:
        ui.difference(draft.difference())
    if existed and draft.changes and not (force or dry_run):
        raise CheckError(f"{instance.tenant} is there, and other than asked. Nothing was changed.", "To go on: --force")
    if draft.changes and not dry_run:
        draft.write()
    _report(draft, existed, base_dir, dry_run, json)


def _wishes(config_file: Path | None, flags: dict[str, Any]) -> "Wishes":
    from sfp_server.ops.wishes import NOTHING, from_file

    return (from_file(config_file) if config_file else NOTHING).and_also(flags)


def _workers(text: str | None) -> dict[str, int] | None:
    from sfp_server.ops.config_versions import worker_counts

    counts = worker_counts(text) if text is not None else None
    if text is not None and counts is None:
        raise UsageError(f'--worker-counts must be three numbers, is "{text}".', "Critical, normal, batch: 1,2,1")
    return counts


def _checked(mode: str | None) -> str | None:
    if mode not in (None, *_MODES):
        raise UsageError(f'--mode must be dev or prod, is "{mode}".')
    return mode


def _instance(wishes: "Wishes", base: Path | None, asking: bool) -> "Instance":
    from sfp_server.ops.instance import base_dir, named, valid_name

    rule = "Lower-case letters, digits and hyphens, a letter first, at most 32."
    name = wishes.get("tenant")
    if name is None and not asking:
        raise UsageError("the instance needs a name.", "Give one, like your organization's: --tenant acme")
    if name is None:
        name = ui.ask("Name of the instance, like acme", lambda text: "" if valid_name(text) else rule)
    return named(base_dir(base, os.environ), str(name))


def _draft(instance: "Instance", wishes: "Wishes", mode: str | None, asking: bool, force: bool) -> "Draft":
    from sfp_server.ops import draft
    from sfp_server.ops.wishes import for_new

    if instance.settings_file.exists() and not (force and draft.broken(instance)):
        return draft.changed(instance, wishes)
    if wishes.needs_domain(mode):
        mode, wishes = _with_domain(wishes, mode, asking)
    given = {} if instance.secrets_file.exists() else _given(wishes.needs_secrets(), asking)
    return draft.new(instance, for_new(wishes.with_secrets(given), instance, mode))


def _given(names: list[str], asking: bool) -> dict[str, "Secret"]:
    """Secrets of what exists already: from the environment, else asked for without showing them."""
    from sfp_server.cmd.base import Secret

    found: dict[str, Secret] = {}
    for name in names:
        variable = f"SFP_{name.upper().replace('-', '_')}"
        value = os.environ.get(variable) or (typer.prompt(name, hide_input=True, err=True) if asking else "")
        if not value:
            raise UsageError(f"the secret {name} is missing.", f"Set {variable}, or give it in --config-file: secrets")
        found[name] = Secret(value)
    return found


def _with_domain(wishes: "Wishes", mode: str | None, asking: bool) -> tuple[str | None, "Wishes"]:
    """Ask for the public host name; none is an answer where the server may stay on this machine."""
    local = wishes.get("target") in (None, "local") and mode is None
    if not asking:
        here = "; without one it stays on this machine: --mode dev, or --engine embedded" if local else ""
        raise UsageError("a server that others reach needs a host name.", f"Give one: --domain sfp.acme.com{here}")
    question = f"Public host name, like sfp.acme.com{' (empty: this machine only)' if local else ''}"
    answer = ui.ask(question, lambda text: "" if text or local else "It needs one.")
    return ("dev", wishes) if not answer else (mode, wishes.and_also({"domain": answer}))


def _report(draft: "Draft", existed: bool, base: Path | None, dry_run: bool, json: bool) -> None:
    following = ui.naming("sfp server start", draft.instance, base)
    if json:
        ui.document("init", _document(draft, existed, dry_run, following))
        return
    if not draft.changes:
        ui.say(f"{draft.instance.tenant} is there as asked, nothing to change.")
    _list(_written(draft, existed), "Would write" if dry_run else "Wrote")
    ui.say(f"Next: {following}" if not dry_run else "Nothing was changed.")


def _list(written: list[tuple[Path, str]], verb: str) -> None:
    width = max((len(ui.place(path)) for path, _ in written), default=0)
    for path, text in written:
        ui.say(f"{verb} {ui.place(path):<{width}}   {text}")


def _written(draft: "Draft", existed: bool) -> list[tuple[Path, str]]:
    files = []
    if draft.before != draft.after:
        files.append((draft.instance.settings_file, "the settings, commented; safe to commit"))
    if draft.fresh:
        files.append((draft.instance.secrets_file, _secrets_told(draft, existed)))
    return files


def _secrets_told(draft: "Draft", existed: bool) -> str:
    """`7 secrets generated, 2 taken over; only you can read it`."""
    made, taken = len(draft.fresh) - len(draft.given), len(draft.given)
    counts = [f"{made} secret{'s' if made != 1 else ''} generated"] if made else []
    counts += [f"{taken} taken over"] if taken else []
    return f"{', '.join(counts)}; {'the others stay' if existed else 'only you can read it'}"


def _document(draft: "Draft", existed: bool, dry_run: bool, following: str) -> dict[str, Any]:
    return {
        "tenant": draft.instance.tenant,
        "url": draft.config.public_url,
        "created": not existed and not dry_run,
        "changed": draft.changes and not dry_run,
        "dryRun": dry_run,
        "files": [str(path) for path, _ in _written(draft, existed)],
        "secrets": sorted(draft.fresh),
        "difference": draft.difference() if existed else [],
        "next": following,
    }
