"""The program's own templates, filled in; a name without a value is an error."""

import re
from pathlib import Path
from typing import Any

from sfp_server import assets
from sfp_server.errors import SfpError
from sfp_server.ops import yamlfile

_UNIT_PLAIN = re.compile(r"[A-Za-z0-9_./:@+=-]+")


def template(name: str, **values: Any) -> str:
    """One of `templates/`."""
    return _filled(assets.templates(), name, values)


def fragment(name: str, **values: Any) -> str:
    """One of `compose/`."""
    return _filled(assets.compose(), name, values)


def _filled(folder: Path, name: str, values: dict[str, Any]) -> str:
    import jinja2

    environment = jinja2.Environment(  # noqa: S701  # nothing here is HTML
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json"] = lambda value: yamlfile.flow(value, quoted=True)
    environment.filters["yaml"] = yamlfile.flow
    environment.filters["setting"] = _setting
    environment.filters["unit"] = _unit
    return environment.get_template(name).render(values)


def _setting(value: Any, key: str, example: str) -> str:
    """A setting as a line of YAML; one that is not set as a comment with an example."""
    return f"# {key}: {example}" if value is None else f"{key}: {yamlfile.flow(value)}"


def _unit(value: str) -> str:
    """A word of a systemd unit: specifiers escaped, quoted where it needs to be."""
    if not value.isprintable():
        raise SfpError(f"a systemd unit cannot name {value!r}.", "Choose a base folder with an ordinary name.")
    text = value.replace("%", "%%")
    return text if _UNIT_PLAIN.fullmatch(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
