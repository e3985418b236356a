"""`config`: what can be set, what is set, and setting it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfp_server.cli import ui
from sfp_server.cli.secret_flags import NoSecretFlags
from sfp_server.errors import UsageError

if TYPE_CHECKING:
    from sfp_server.ops.draft import Draft

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

_KEY = typer.Argument(metavar="[KEY]", help="One setting, like workers.normal; all where none is named.")


@app.callback()
def config() -> None:
    """Show and change the settings of an instance."""


@app.command()
def schema() -> None:
    """Print what can be set, as JSON Schema."""
    from json import dumps

    from sfp_server.ops.config import Config

    described = Config.model_json_schema()
    ui.say(dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **described}, indent=2))


@app.command()
def show(
    key: Annotated[str | None, _KEY] = None,
    tenant: ui.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    json: ui.JSON = False,
) -> None:
    """Show the settings that hold, defaults included; secrets by name only."""
    from sfp_server.ops import secrets
    from sfp_server.ops.config import load

    instance = ui.instance(tenant, base_dir)
    loaded = load(instance)
    settings = loaded.model_dump(mode="json")
    if key is not None:
        settings = {key: _value(settings, key)}
    masks = {} if key is not None else {name: str(value) for name, value in secrets.load(instance).items()}
    if json:
        body = {"tenant": instance.tenant, "file": str(instance.settings_file), "url": loaded.public_url}
        ui.document("config", {**body, "settings": settings, "secrets": masks})
    elif key is not None:
        _print_value(settings[key])
    else:
        ui.say(f"# {ui.place(instance.settings_file)}, with what holds where it says nothing")
        _print({**settings, "secrets": masks})


@app.command("set", cls=NoSecretFlags)
def set_(
    key: Annotated[str, typer.Argument(help="The setting, like workers.normal.")],
    value: Annotated[str, typer.Argument(help="Its new value; null for none.")],
    tenant: ui.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    dry_run: ui.DRY_RUN = False,
    json: ui.JSON = False,
) -> None:
    """Change one setting where it stands in server.yml; comments stay."""
    from sfp_server.ops import draft, yamlfile

    instance = ui.instance(tenant, base_dir)
    _check_known(key)
    revised = draft.revised(instance, tuple(key.split(".")), yamlfile.typed(value))
    if revised.changes and not dry_run:
        revised.write()
    if json:
        ui.document("config-change", _document(revised, dry_run))
    else:
        _tell(revised, key, "" if dry_run else ui.naming("sfp server start", instance, base_dir))


def _tell(revised: "Draft", key: str, following: str) -> None:
    if not revised.changes:
        ui.say(f"{key} is so already, nothing to change.")
        return
    ui.difference(revised.difference())
    ui.say(f"Next: {following}   makes it take effect" if following else "Nothing was changed.")


def _document(revised: "Draft", dry_run: bool) -> dict[str, Any]:
    return {
        "tenant": revised.instance.tenant,
        "file": str(revised.instance.settings_file),
        "changed": revised.changes and not dry_run,
        "dryRun": dry_run,
        "difference": revised.difference(),
    }


def _check_known(key: str) -> None:
    from difflib import get_close_matches

    from sfp_server.ops.config import Config
    from sfp_server.ops.config_words import known

    names = list(known(Config))
    if key not in names:
        near = get_close_matches(key, names, 1)
        hint = f"Did you mean {near[0]}?" if near else "What is possible: sfp server config schema"
        raise UsageError(f"there is no setting {key}.", hint)


def _value(settings: Any, key: str) -> Any:
    _check_known(key)
    for part in key.split("."):
        settings = settings.get(part) if isinstance(settings, dict) else None
    return settings


def _print_value(value: Any) -> None:
    if isinstance(value, dict):
        _print(value)
    else:
        ui.say("" if value is None else str(value))


def _print(settings: dict[str, Any]) -> None:
    from sfp_server.ops.yamlfile import text_of

    ui.say(text_of(settings).rstrip())
