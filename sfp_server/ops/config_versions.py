"""Older forms of `server.yml`, and the published names of its keys, brought to the newest form."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sfp_server.errors import CheckError
from sfp_server.ops import yamlfile

Problem = tuple[tuple[str, ...], str]
Data = dict[str, Any]

CLASSES = ("critical", "normal", "batch")
_COUNTS = 'must be three numbers "critical,normal,batch"'


def _from_published(data: Data) -> Data:
    """0 → 1. The published `server.json`: no version, and `workers` may be one number."""
    workers = data.get("workers")
    number = isinstance(workers, int) and not isinstance(workers, bool)
    return {"config_version": 1, **data, **({"workers": {"normal": workers}} if number else {})}


MIGRATIONS: tuple[Callable[[Data], Data], ...] = (_from_published,)
NEWEST = len(MIGRATIONS)


def version(data: Mapping[str, Any]) -> int | None:
    """The version of a file's form: 0 where it names none, nothing where it names no number."""
    found = data.get("config_version", 0)
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


def newest(data: Data, path: str) -> tuple[Data, Sequence[Problem]]:
    """The same settings in the newest form and under our own names, and what could not be brought there."""
    found = version(data)
    if found is not None and found > NEWEST:
        raise CheckError(
            f"{path}: config_version: is {found}, newer than this program knows ({NEWEST}).",
            "Update the program: pip install --upgrade sfp-server",
        )
    if found is None:
        odd = (("config_version",), f"must be {NEWEST}, is {yamlfile.flow(data['config_version'], True)}")
        settings, problems = _own_names({**data, "config_version": NEWEST})
        return settings, [odd, *problems]
    for migrate in MIGRATIONS[found:]:
        data = {**migrate(data), "config_version": MIGRATIONS.index(migrate) + 1}
    return _own_names(data)


def upgraded(text: str, path: str) -> str:
    """The text of a file in the newest form; the same text where it has it. Comments stay."""
    before = yamlfile.read(text, path).data
    after, _ = newest(before, path)
    for key in [key for key in before if key not in after]:
        text = yamlfile.without(text, (key,))
    for key in [key for key in after if key not in before or after[key] != before[key]]:
        text = yamlfile.with_value(text, (key,), after[key])
    return text


def _own_names(data: Data) -> tuple[Data, Sequence[Problem]]:
    """The published `workerCounts: "1,2,1"` under its own name. `secrets` have no place among settings."""
    problems: list[Problem] = []
    if "secrets" in data:
        problems.append((("secrets",), "do not belong here; init --config-file FILE takes them to secrets.yml"))
    rest = {key: value for key, value in data.items() if key not in ("secrets", "workerCounts")}
    if "workerCounts" not in data:
        return rest, problems
    if "workers" in data:
        return rest, [*problems, (("workerCounts",), "says the same as workers; keep one of them")]
    counts = worker_counts(data["workerCounts"])
    if counts is None:
        return rest, [*problems, (("workerCounts",), f"{_COUNTS}, is {yamlfile.flow(data['workerCounts'], True)}")]
    return {**rest, "workers": counts}, problems


def worker_counts(text: Any) -> dict[str, int] | None:
    """`"1,2,1"` as the counts of critical, normal and batch; nothing where it is no such text."""
    parts = text.split(",") if isinstance(text, str) else []
    numbers = [int(part) for part in parts if part.strip().isascii() and part.strip().isdigit() and len(part) < 10]
    return dict(zip(CLASSES, numbers, strict=True)) if len(numbers) == len(parts) == len(CLASSES) else None
