"""What the Compose engine demands of a host: a Docker Engine and a Compose that it can use."""

import json
import re
from collections.abc import Iterator, Sequence

from sfp_server.cmd import compose, docker
from sfp_server.cmd.base import Cmd
from sfp_server.engine.dockerd.refusals import ANY, explain
from sfp_server.errors import RemoteError
from sfp_server.host.base import Host, Result

ENGINE = (24, 0)
ENGINE_START_INTERVAL = (25, 0)
"""The first Engine that knows `start_interval` of a health check; Compose refuses it on others."""
COMPOSE = (2, 20)

_INSTALL = "https://docs.docker.com/engine/install/"
_NOT_FOUND = 127  # what a shell says where there is no such command


def unmet(host: Host, start_interval: bool) -> Sequence[str]:
    """What is missing or too old, one line each."""
    found = _asked(host, docker.version())
    if found.code == _NOT_FOUND:
        return [f"there is no Docker on {host.name}; install Docker Engine and Compose: {_INSTALL}"]
    engine = _server(found.stdout)
    if not engine:
        return [_why(found)]
    needed = ENGINE_START_INTERVAL if start_interval else ENGINE
    return [*_old("Docker Engine", engine, needed), *_compose(host)]


def _compose(host: Host) -> Iterator[str]:
    found = _asked(host, compose.version())
    if not found.ok:
        yield f"Docker Compose is missing on {host.name}; install its plugin: https://docs.docker.com/compose/install/"
    else:
        yield from _old("Docker Compose", found.stdout.strip(), COMPOSE)


def _old(program: str, version: str, needed: tuple[int, int]) -> Iterator[str]:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found is None:
        yield f"{program} says that its version is {version!r}, which is not understood"
    elif (int(found[1]), int(found[2])) < needed:
        yield f"{program} {version} is too old; {needed[0]}.{needed[1]} or newer is needed: {_INSTALL}"


def _server(text: str) -> str:
    """The engine's version; empty where none answered."""
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    return str((found.get("Server") or {}).get("Version") or "")


def _why(found: Result) -> str:
    said = found.stderr or found.stdout
    error = explain(said, "docker version", ANY)
    return f"{error.message} {error.hint}" if error else f"Docker does not answer: {said.strip()}"


def _asked(host: Host, command: Cmd) -> Result:
    """The answer; a command that is not there or hangs is one, too."""
    try:
        return host.run(command)
    except RemoteError as error:
        missing = "no such file" in error.message
        return Result(_NOT_FOUND if missing else 1, "", error.message)
