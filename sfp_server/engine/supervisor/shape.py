"""Reading a JSON object strictly: what it must have, may have, and of what kind. Every problem is named by its path."""

import re
import signal
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Field(NamedTuple):
    """One member of an object: its kind, and the value that stands for it where it may be absent."""

    kind: str
    default: Any = None
    needed: bool = True


Shape = Mapping[str, Field]


def required(kind: str) -> Field:
    return Field(kind)


def optional(kind: str, default: Any) -> Field:
    return Field(kind, default, needed=False)


def read(raw: Any, shape: Shape, where: str, problems: list[str]) -> dict[str, Any]:
    """The members of an object with defaults filled in; lists of text become tuples. Problems are added to the list,
    and a neutral value stands where one was."""
    if not isinstance(raw, dict):
        problems.append(f"{where.rstrip('.') or 'the document'}: must be an object")
        raw = {name: field.default for name, field in shape.items()}
    problems += [f"{where}{name}: is not known" for name in raw if name not in shape]
    return {name: _value(raw, name, field, where, problems) for name, field in shape.items()}


def _value(raw: dict[str, Any], name: str, field: Field, where: str, problems: list[str]) -> Any:
    if name not in raw:
        if field.needed:
            problems.append(f"{where}{name}: is missing")
        return field.default if not field.needed else _NEUTRAL.get(field.kind, "")
    value = raw[name]
    if not (_KINDS[field.kind](value) or (not field.needed and value == field.default)):
        problems.append(f"{where}{name}: must be {_SAYS.get(field.kind, field.kind)}, is {value!r}")
        return _NEUTRAL.get(field.kind, field.default)
    return tuple(value) if field.kind == "texts" else value


_NEUTRAL: Mapping[str, Any] = {"list": (), "texts": (), "object": None, "number": 0}

_SAYS: Mapping[str, str] = {
    "texts": "a list of text", "list": "a list", "object": "an object", "number": "a number of at least 0",
    "path": "an absolute path", "signal": "a signal's name", "name": "a name of lower-case letters, digits and hyphens",
}  # fmt: skip

_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "texts": lambda value: isinstance(value, list) and all(isinstance(part, str) for part in value),
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value >= 0,
    "yes or no": lambda value: isinstance(value, bool),
    "path": lambda value: isinstance(value, str) and value.startswith("/"),
    "signal": lambda value: isinstance(value, str) and value in signal.Signals.__members__,
    "name": lambda value: isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9-]*", value) is not None,
}
