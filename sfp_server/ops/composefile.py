"""How a `compose.yml` and environment files are written: for people to read, for Compose to take as they stand."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from sfp_server.errors import SfpError

ORDER = (
    "x-about",
    "image",
    "profiles",
    "user",
    "entrypoint",
    "command",
    "env_file",
    "depends_on",
    "healthcheck",
    "ports",
    "networks",
    "network_mode",
    "volumes",
    "tmpfs",
    "shm_size",
    "mem_limit",
    "cpus",
    "pids_limit",
    "stop_signal",
    "stop_grace_period",
    "restart",
    "read_only",
    "cap_drop",
    "cap_add",
    "sysctls",
    "security_opt",
    "logging",
    "labels",
)
"""The keys that a service may have, in the order in which they stand: what it is, what it needs, what it may."""

_WIDTH = 120
_KEY = re.compile(r"[a-z][a-z0-9_.-]*")
# A word that every reader of YAML, 1.1 and 1.2, takes for text: no number (1e5), no yes and no.
_WORD = re.compile(r"(?!(?:true|false|yes|no|on|off|null|y|n)$)(?:[A-Za-z_/][\w./@+-]*|[0-9]+(?:s|m|g))", re.IGNORECASE)
_BARE = re.compile(r"[A-Za-z0-9_./:@,?&=%+~*-]*")


def text(document: Mapping[str, Any], head: str) -> bytes:
    """A `compose.yml`. A dollar is doubled, for nothing here is for Compose to fill in; `x-about` is a comment."""
    lines = [f"# {line}" for line in head.splitlines()]
    lines += ["", f"name: {document['name']}", "", "services:"]
    for name, service in document["services"].items():
        lines += [f"  # {service['x-about']}", f"  {name}:"]
        lines += _dumped({key: value for key, value in service.items() if key != "x-about"}, "    ")
        lines.append("")
    for part in ("networks", "volumes"):
        lines += [f"{part}:", *_dumped(document[part], "  "), ""]
    return "\n".join([*lines[:-1], ""]).encode()


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


def _dumped(value: Any, indent: str) -> Iterator[str]:
    dumped = yaml.dump(
        _doubled(value),
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=None,
        width=_WIDTH - len(indent),
        allow_unicode=True,
    )
    return (f"{indent}{line}" for line in dumped.splitlines())


def _doubled(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _doubled(item) for key, item in value.items()}
    return [_doubled(item) for item in value] if isinstance(value, list | tuple) else value


class _Dumper(yaml.SafeDumper):
    """Text that is no plain word is quoted; what stands twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = None if _WORD.fullmatch(data) or _KEY.fullmatch(data) else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


_Dumper.add_representer(str, _Dumper.represent_str)
