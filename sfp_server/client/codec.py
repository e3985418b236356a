"""Between the API's JSON and our values: `operationId` there is `operation_id` here.

What a newer server adds is ignored; what is missing takes its default, or is an error that names it.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from typing import Any, TypeVar, get_args, get_type_hints

from sfp_server.client.model import Page
from sfp_server.clock import rfc3339
from sfp_server.cmd.base import Secret
from sfp_server.errors import SfpError

T = TypeVar("T")


def parse(kind: type[T], body: Any) -> T:
    """The value of this kind that a JSON object describes."""
    if not isinstance(body, Mapping):
        raise _strange(f"{kind.__name__} is {type(body).__name__}, not an object")
    hints = get_type_hints(kind)
    there = [field for field in fields(kind) if _camel(field.name) in body]  # type: ignore[arg-type]
    _refuse_missing(kind, body)
    return kind(**{field.name: _value(hints[field.name], body[_camel(field.name)]) for field in there})


def page(kind: type[T], body: Any) -> Page[T]:
    """A part of a list: `{items, next}`."""
    if not isinstance(body, Mapping) or not isinstance(body.get("items"), list):
        raise _strange("a list without items")
    return Page(tuple(parse(kind, item) for item in body["items"]), body.get("next"))


def body(value: Any) -> Any:
    """The JSON that describes a value: the inverse of `parse`. A secret stays its redaction."""
    if is_dataclass(value):
        return {_camel(field.name): body(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list):
        return [body(item) for item in value]
    if isinstance(value, datetime):
        return rfc3339(value)
    return str(value) if isinstance(value, Secret) else value


def _value(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    kinds = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type)]
    if Secret in kinds:
        return Secret(str(value))
    if datetime in kinds:
        return _moment(value)
    nested = [kind for kind in kinds if is_dataclass(kind)]
    return tuple(parse(nested[0], item) for item in value) if nested else value


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise _strange(f'"{text}" is not a time') from error


def _refuse_missing(kind: type, body: Mapping[str, Any]) -> None:
    missing = [_camel(field.name) for field in fields(kind) if _required(field) and _camel(field.name) not in body]
    if missing:
        raise _strange(f"{kind.__name__} without {', '.join(missing)}")


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _strange(what: str) -> SfpError:
    return SfpError(
        f"the server answered in a way that this client does not know: {what}.",
        "Are they of one version? sfp server --version, sfp server health",
    )
