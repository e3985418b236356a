"""What is wrong with a `server.yml`, in our own words: all of it, with paths, lines and the nearest right names."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from sfp_server.cmd.base import REDACTED
from sfp_server.errors import CheckError
from sfp_server.ops import yamlfile
from sfp_server.ops.config_versions import Problem

_LONGEST = 60
_PASSWORD = re.compile(r"(://[^/@\s:]*:)[^/@\s]+@")
_SECRET_LINE = re.compile(
    r"(?i)((?:token|secret|password|passphrase|private|[_-]key)[\w-]*[\"']?\s*[:=]\s*)(?![\s{|>])\S.*"
)
_HINT = "What is possible: sfp server config schema"


@dataclass(frozen=True)
class Must:
    """What a field must be, in the words of its error: `must be 0 to 10, is "x"`."""

    words: str


def problems(error: ValidationError, root: type[BaseModel]) -> Iterator[Problem]:
    """Each error of a validation by the model `root`, told once."""
    for found in error.errors(include_url=False, include_context=False):
        path, field, models = _where(found["loc"], root)
        if found["type"] == "extra_forbidden":
            name = str(found["loc"][-1])
            yield (*path, name), f"unknown key{_nearest(name, path, models, root)}"
        elif found["type"] == "missing":
            yield path, "is missing"
        else:
            yield path, f"must be {_must(field)}, is {shown(found['input'])}"


def refusal(found: Sequence[Problem], document: yamlfile.Document, path: str) -> CheckError:
    """One error for all problems: on its line where there is one, else a list in the order of the file."""
    lines = sorted(((_line(document, key), ".".join(key), text) for key, text in found), key=lambda row: row[0])
    if len(lines) == 1:
        line, key, text = lines[0]
        return CheckError(f"{path}{f' line {line}' if line else ''}: {key}: {text}", _HINT)
    listed = "".join(f"\n  {f'line {line}' if line else '':<9} {key}: {text}" for line, key, text in lines)
    return CheckError(f"{path} has {len(lines)} problems:{listed}", _HINT)


def known(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[str]:
    """Every setting of a model by its full name: `workers`, `workers.critical`."""
    for name, field in model.model_fields.items():
        yield ".".join((*above, name))
        for inner in _models(field):
            yield from known(inner, (*above, name))


def shown(value: Any) -> str:
    """A value as an error shows it: short, and without the password of an address."""
    text = masked(yamlfile.flow(value, quoted=True))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def masked(text: str) -> str:
    """A text without passwords of addresses, and without what stands behind a name that sounds like a secret's."""
    return "\n".join(_SECRET_LINE.sub(rf"\1{REDACTED}", line) for line in _PASSWORD.sub(r"\1••••@", text).split("\n"))


def _where(
    location: Sequence[int | str], root: type[BaseModel]
) -> tuple[tuple[str, ...], FieldInfo | None, Sequence[type[BaseModel]]]:
    """The path of our names, the field at its end and the models that stand there. The library's marks for branches
    of a choice are left out."""
    path: tuple[str, ...] = ()
    field: FieldInfo | None = None
    models: Sequence[type[BaseModel]] = (root,)
    for part in location:
        inner = next((model.model_fields[part] for model in models if part in model.model_fields), None)
        if inner is not None:
            path, field, models = (*path, str(part)), inner, _models(inner)
    return path, field, models


def _models(field: FieldInfo) -> list[type[BaseModel]]:
    def walk(annotation: Any) -> Iterator[type[BaseModel]]:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        for argument in get_args(annotation):
            yield from walk(argument)

    return list(walk(field.annotation))


def _must(field: FieldInfo | None) -> str:
    if field is None:
        return "a mapping of settings"
    said = [part.words for part in _metadata(field) if isinstance(part, Must)]
    return said[-1] if said else f"a mapping of {', '.join(_models(field)[0].model_fields)}"


def _metadata(field: FieldInfo) -> list[Any]:
    """The field's metadata, and that of the type inside `… | None`."""
    inner = [part for argument in get_args(field.annotation) for part in getattr(argument, "__metadata__", ())]
    return [*inner, *field.metadata]


def _nearest(name: str, above: tuple[str, ...], models: Sequence[type[BaseModel]], root: type[BaseModel]) -> str:
    beside = get_close_matches(name, [field for model in models for field in model.model_fields], 1)
    if beside:
        return f", did you mean {'.'.join((*above, beside[0]))}?"
    ends = {full.rpartition(".")[2]: full for full in known(root)}
    far = get_close_matches(name, ends, 1, cutoff=0.75)
    return f", did you mean {ends[far[0]]}?" if far else ""


def _line(document: yamlfile.Document, path: tuple[str, ...]) -> int:
    line = document.line(path)
    if line is None and path[:1] == ("workers",):
        line = document.line(("workerCounts",))
    return line or 0
