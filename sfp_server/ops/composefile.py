"""How a `compose.yml` and environment files are written: for people to read, for Compose to take as they stand."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sfp_server.errors import SfpError

ORDER = (
    "x-about", "image", "profiles", "user", "entrypoint", "command", "env_file", "depends_on", "healthcheck", "ports",
    "networks", "network_mode", "volumes", "tmpfs", "shm_size", "mem_limit", "cpus", "pids_limit", "stop_signal",
    "stop_grace_period", "restart", "read_only", "cap_drop", "cap_add", "sysctls", "security_opt", "logging", "labels",
)  # fmt: skip
"""The keys that a service may have, in the order in which they stand: what it is, what it needs, what it may."""

_WIDTH = 120
# A word that every reader of YAML, 1.1 and 1.2, takes for text: no number (1e5, 12:30), no yes and no.
_WORD = re.compile(
    r"(?!(?:true|false|yes|no|on|off|null|y|n)$)(?:-{0,2}[A-Za-z_/](?:[\w./@+=-]|:(?=\w))*|[0-9]+(?:s|m|g))",
    re.IGNORECASE | re.ASCII,
)
_BARE = re.compile(r"[A-Za-z0-9_./:@,?&=%+~*-]*")


def text(document: Mapping[str, Any], head: str) -> bytes:
    """A `compose.yml`. A dollar is doubled, for nothing here is for Compose to fill in; `x-about` is a comment."""
    lines = [f"# {line}" for line in head.splitlines()]
    lines += ["", f"name: {document['name']}", "", "services:"]
    for name, service in document["services"].items():
        lines += [f"  # {service['x-about']}", f"  {name}:"]
        lines += [*_block({key: value for key, value in service.items() if key != "x-about"}, 4), ""]
    for part in ("networks", "volumes"):
        lines += [f"{part}:", *_block(document[part], 2), ""]
    return "\n".join(lines).encode()


def before_25(document: Mapping[str, Any]) -> bytes:
    """What a Docker Engine before 25 needs on top: it refuses `start_interval`, so its checks look often for ever."""
    lines = [
        "# Read after compose.yml by a Docker Engine before 25, which cannot look more often while a service starts."
    ]
    lines += ["services:"]
    for name, service in document["services"].items():
        if "healthcheck" in service:
            lines += [f"  {name}:", "    healthcheck: {interval: 5s, start_interval: !reset null}"]
    return "\n".join([*lines, ""]).encode()


def environment(values: Mapping[str, str]) -> bytes:
    """An environment file as Compose reads one: a value that it would change is quoted so that it stays."""
    return "".join(f"{name}={_quoted(name, value)}\n" for name, value in values.items()).encode()


def _quoted(name: str, value: str) -> str:
    if not value.isprintable():
        raise SfpError(f"{name} would break a line: {value!r}.", "Choose another value in server.yml.")
    if _BARE.fullmatch(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def _block(value: Mapping[str, Any] | list[Any], indent: int) -> Iterator[str]:
    """A mapping or a list, an entry a line; what is inside stands on that line too where it fits."""
    entries = value.items() if isinstance(value, Mapping) else ((None, item) for item in value)
    for key, item in entries:
        before = " " * indent + ("-" if key is None else f"{_scalar(key)}:")
        line = f"{before} {_flow(item)}"
        if len(line) <= _WIDTH or not isinstance(item, Mapping | list):
            yield line
        elif key is None:
            first, *rest = _block(item, indent + 2)
            yield from (f"{before} {first.lstrip()}", *rest)
        else:
            yield from (before, *_block(item, indent + 2))


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    doubled = value.replace("$", "$$")
    return doubled if _WORD.fullmatch(doubled) else json.dumps(doubled, ensure_ascii=not doubled.isprintable())
