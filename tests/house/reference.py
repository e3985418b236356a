"""`python -m tests.house.reference`: write the README's references from what they describe; a test compares them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, get_args, get_origin

from tests.house import commands, tree

README: Final = tree.ROOT / "README.md"


def main() -> None:
    """Replace what stands between the markers."""
    README.write_text(written(README.read_text()))


def written(text: str) -> str:
    """The README with its references as they have to be."""
    for name, section in SECTIONS.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, found, rest = text.partition(begin)
        assert found, f"README.md has no {begin}"
        assert end in rest, f"README.md has no {end}"
        text = f"{before}{begin}{section()}\n{end}{rest.partition(end)[2]}"
    return text


def command_reference() -> str:
    """A line for each command to begin with, then the whole help of each, folded."""
    every = list(commands.every())
    rows = [f"| `{' '.join(command.path)}` | {command.line} |" for command in every if not _is_group(command)]
    folded = [
        f"<details><summary><code>sfp-server {' '.join(command.path)}</code></summary>\n\n"
        f"```text\n{command.help}\n```\n\n</details>"
        for command in every
        if not _is_group(command)
    ]
    return "\n".join(["| command | |", "|---|---|", *rows, "", *folded])


def configuration_reference() -> str:
    """A row for each setting: its name, what holds without it and what else it can be, what it means."""
    from sfp_server.ops.config import Config

    usual = Config(config_version=1, tenant="acme").model_dump(mode="json")
    return "\n".join(["| setting | default | |", "|---|---|---|", *_settings(Config, usual)])


def api_reference() -> str:
    """A row for each operation of the OpenAPI document."""
    from tests.house.openapi import document

    rows = [
        f"| `{method.upper()} {path}` | {_cell(operation.get('summary', ''))} | {_permission(operation)} |"
        for path, operations in sorted(document()["paths"].items())
        for method, operation in operations.items()
        if isinstance(operation, Mapping)
    ]
    return "\n".join(["| route | | needs |", "|---|---|---|", *rows])


SECTIONS: Final[Mapping[str, Callable[[], str]]] = {
    "commands": command_reference,
    "configuration": configuration_reference,
    "api": api_reference,
}


def _is_group(command: commands.Command) -> bool:
    return "\nCommands:" in command.help


def _settings(model: Any, usual: Any, above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        value = (
            usual.get(name) if isinstance(usual, Mapping) else field.get_default() if not field.is_required() else None
        )
        shown = (
            "required" if field.is_required() else "" if value is None or isinstance(value, Mapping) else f"`{value}`"
        )
        others = [choice for choice in choices(field.annotation) if choice != value]
        more = f" or {', '.join(f'`{choice}`' for choice in others)}" if shown.startswith("`") and others else ""
        yield f"| `{above}{name}` | {shown}{more} | {_cell(field.description or '')} |"
        for nested in nested_models(field.annotation):
            yield from _settings(nested, value, f"{above}{name}.")


def nested_models(annotation: Any) -> list[Any]:
    """The models that a setting holds, each once."""
    if hasattr(annotation, "model_fields"):
        return [annotation]
    found = [model for part in get_args(annotation) for model in nested_models(part)]
    return list(dict.fromkeys(found))


def choices(annotation: Any) -> list[Any]:
    """The words that a setting may be."""
    return list(get_args(annotation)) if get_origin(annotation) is Literal else []


def _permission(operation: Mapping[str, Any]) -> str:
    permission = operation.get("x-permission")
    return f"`{permission}`" if permission else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    main()
