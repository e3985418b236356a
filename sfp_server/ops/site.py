"""What an operation on one instance works with, and how it finds the instance to be."""

import getpass
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sfp_server.clock import Clock
from sfp_server.cmd.base import Cmd, Secret
from sfp_server.engine.base import Engine, Service
from sfp_server.host.base import Host
from sfp_server.ops.instance import Instance
from sfp_server.ops.journal import Entry, Journal
from sfp_server.ops.plan import Reporter
from sfp_server.ops.state import overall

MANIFEST = "manifest.json"


class Bundle(Protocol):
    """What `render` made: the files of one instance and one release."""

    @property
    def files(self) -> Mapping[str, bytes]: ...
    @property
    def version(self) -> str: ...
    @property
    def hash(self) -> str: ...


@dataclass(frozen=True)
class Wanted:
    """What a start is to bring up.

    `services` are the bundle's, in order, without its jobs; `secrets` the files of each service by their names;
    `toolchain` the command that prepares what tasks need.
    """

    bundle: Bundle
    services: Sequence[str]
    secrets: Mapping[str, Mapping[str, Secret]]
    toolchain: Cmd | None = None

    @property
    def name(self) -> str:
        """The name of the bundle's folder."""
        return f"{self.bundle.version}-{self.bundle.hash[:12]}"

    @property
    def manifest(self) -> Mapping[str, Any]:
        return _manifest(self.bundle.files.get(MANIFEST))


@dataclass(frozen=True)
class Site:
    """One instance with the host and the engine that act on it.

    `observed` and `watching` are the same host and engine for looking: in a dry run, `host` and `engine` only say what
    they would do. From its settings: `url` where users reach it, `api` where its API answers on this machine, `ports`
    that it listens on here and what for. `wanted` renders what a start brings up; `ask` reads the health document of
    the API at an address.
    """

    instance: Instance
    host: Host
    engine: Engine
    observed: Host
    watching: Engine
    reporter: Reporter
    clock: Clock
    url: str
    api: str
    ports: Mapping[int, str]
    wanted: Callable[[], Wanted]
    ask: Callable[[str], Mapping[str, Any]]
    dry: bool = False

    @property
    def journal(self) -> Journal:
        return Journal(self.instance.journal, who(), self.clock)

    def folder_of(self, name: str) -> Path:
        """Where the release of this name lies."""
        return self.instance.releases / name


@dataclass(frozen=True)
class Seen:
    """An instance as it was found: the release in place (none before the first start) with its manifest and services,
    and where the link `current` leads."""

    release: Path | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    services: Sequence[Service] = ()
    linked: str | None = None

    @property
    def status(self) -> str:
        return overall(self.services)


def look(site: Site, stats: bool = False) -> Seen:
    """How the instance is now. Nothing is changed."""
    release = in_place(site.instance, site.journal)
    if release is None:
        return Seen()
    manifest = _manifest(site.observed.get(str(release / MANIFEST)))
    return Seen(release, manifest, site.watching.ps(str(release), stats), _linked(site.instance))


def is_in_place(wanted: Wanted, seen: Seen) -> bool:
    """Whether the release in place is the wanted one, and the current one."""
    return seen.release is not None and seen.release.name == wanted.name and seen.linked == f"releases/{wanted.name}"


def listens_on(site: Site, seen: Seen) -> set[int]:
    """The port that the API of the release in place listens on, as its environment says."""
    text = (site.observed.get(f"{seen.release}/env/api.env") or b"").decode()
    values = [line.partition("=")[2].strip('"') for line in text.splitlines() if line.startswith("SFP_LISTEN=")]
    return {int(port) for port in (value.rpartition(":")[2] for value in values) if port.isdigit()}


def in_place(instance: Instance, journal: Journal) -> Path | None:
    """The release whose services may run: that of a start which was cut off, else the current one, else that of a
    first start which failed (what it wrote can be read with it)."""
    started = _begun(instance, journal.cut_off())
    if started is not None:
        return started
    linked = _linked(instance)
    return instance.folder / linked if linked else _begun(instance, journal.last("start"))


def who() -> str:
    """`user@machine`, as journal and lock name it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{platform.node()}"


def _begun(instance: Instance, start: Entry | None) -> Path | None:
    """The release of a start, where it is whole."""
    if start is None or start.kind != "start":
        return None
    release = instance.releases / start.what
    return release if (release / MANIFEST).is_file() else None


def _linked(instance: Instance) -> str | None:
    try:
        return os.readlink(instance.current)
    except FileNotFoundError:
        return None


def _manifest(content: bytes | None) -> Mapping[str, Any]:
    found = json.loads(content) if content else {}
    return found if isinstance(found, dict) else {}
