"""Lists are pages with an opaque cursor to the next one."""

import base64
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from sfp_server.server.ids import is_id
from sfp_server.server.problems import Problem

T = TypeVar("T")

LARGEST = 200
USUAL = 50


class Page(Struct, Generic[T]):
    """A part of a list. `next` is the cursor of what follows, or null at the end."""

    items: list[T]
    next: str | None


def page(items: Sequence[T], limit: int, id_of: Callable[[T], str]) -> Page[T]:
    """A page from up to `limit` + 1 items: the one too many says that more follow."""
    shown = list(items[:limit])
    return Page(shown, cursor(id_of(shown[-1])) if len(items) > limit else None)


def cursor(id: str) -> str:
    """What follows this id."""
    return base64.urlsafe_b64encode(id.encode()).decode().rstrip("=")


def after(text: str | None) -> str | None:
    """The id in a cursor that we gave out."""
    if text is None:
        return None
    try:
        id = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        id = ""
    if not is_id(id):
        raise Problem(400, "cursor-invalid", "The cursor is not one", "take it from `next` of the page before")
    return id
