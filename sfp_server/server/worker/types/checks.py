"""Small checks of a task's data that the types share. Each returns the problems that it found."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

from sfp_server.server.worker.types.base import Problem

LONGEST = 32_768  # characters of one text: well under what Linux passes as one argument (128 KiB)
MOST = 1_000


def fields(data: Any, known: Collection[str], required: Collection[str] = ()) -> list[Problem]:
    """That data is an object with these fields, and no others."""
    if not isinstance(data, dict):
        return [Problem("", f"must be an object with {_listed(known)}")]
    missing = [Problem(f"/{name}", "is required") for name in required if name not in data]
    return missing + [_unknown(name, known) for name in data if name not in known]


def text(data: Any, name: str, empty: bool = False, longest: int = LONGEST) -> list[Problem]:
    """That a field, where it is there, is one text without NUL."""
    if name not in data:
        return []
    return _text(data[name], f"/{name}", empty, longest)


def texts(data: Any, name: str, least: int = 0) -> list[Problem]:
    """That a field, where it is there, is a list of texts."""
    if name not in data:
        return []
    value = data[name]
    if not isinstance(value, list) or not least <= len(value) <= MOST:
        return [Problem(f"/{name}", f"must be a list of {least} to {MOST} texts")]
    return [problem for at, item in enumerate(value) for problem in _text(item, f"/{name}/{at}", True, LONGEST)]


def inside(data: Any, name: str) -> list[Problem]:
    """That a field, or each text of a list, is a relative path that stays below where it starts."""
    value = data.get(name)
    paths = [(f"/{name}", value)] if isinstance(value, str) else _items(name, value)
    return [Problem(pointer, "must be a path inside, without ..") for pointer, path in paths if not _stays(path)]


def globs(data: Any, name: str) -> list[Problem]:
    """That a field, where it is there, is a list of patterns of paths inside; `**` stands for any folders."""
    problems = texts(data, name) + inside(data, name)
    items = _items(name, data.get(name))
    return problems + [Problem(at, "must have ** as a whole part of the path") for at, glob in items if _crowded(glob)]


def _crowded(glob: str) -> bool:
    return any("**" in part and part != "**" for part in glob.split("/"))


def _items(name: str, value: Any) -> list[tuple[str, str]]:
    listed = value if isinstance(value, list) else []
    return [(f"/{name}/{at}", item) for at, item in enumerate(listed) if isinstance(item, str)]


def _stays(path: str) -> bool:
    return bool(path) and not path.startswith(("/", "~")) and ".." not in path.split("/")


def _text(value: Any, pointer: str, empty: bool, longest: int) -> list[Problem]:
    if not isinstance(value, str):
        return [Problem(pointer, "must be a text")]
    if "\0" in value:
        return [Problem(pointer, "must not hold a NUL character")]
    if not empty and not value.strip():
        return [Problem(pointer, "must not be empty")]
    return [Problem(pointer, f"must have at most {longest} characters")] if len(value) > longest else []


def _unknown(name: str, known: Collection[str]) -> Problem:
    near = get_close_matches(name, known, n=1)
    advice = f"did you mean {near[0]}?" if near else f"known are {_listed(known)}"
    return Problem("/" + name.replace("~", "~0").replace("/", "~1"), f"is not known; {advice}")


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)
