"""A bundle's services, as Compose reads them from its file."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from sfp_server.cmd.compose import FILE, Project
from sfp_server.errors import SfpError

SLOTS = ("-a", "-b")
"""The two of a service of which one serves, and the other takes over without a gap."""


@dataclass(frozen=True)
class Part:
    """One service of the file. `name` is what people call it, `slot` is `a`, `b` or empty; `command` are the
    arguments of its program; `grace` the seconds that it gets to end; `definition` all that its container is made
    from."""

    key: str
    name: str
    slot: str
    image: str
    job: bool
    after: frozenset[str]
    command: tuple[str, ...]
    grace: float
    definition: str


@dataclass(frozen=True)
class Bundle:
    """All services of one file, in its order. One that is not `written` yet (a dry run) has every service that it is
    asked for."""

    project: Project
    parts: tuple[Part, ...]
    written: bool = True

    @property
    def services(self) -> tuple[Part, ...]:
        """All but the jobs."""
        return tuple(part for part in self.parts if not part.job)

    @property
    def images(self) -> list[str]:
        """Every image once, those of jobs too."""
        return list(dict.fromkeys(part.image for part in self.parts))

    def by_name(self) -> dict[str, list[Part]]:
        """The services by what people call them; both slots of one under its name."""
        names = dict.fromkeys(part.name for part in self.services)
        return {name: [part for part in self.services if part.name == name] for name in names}

    def chosen(self, wanted: Sequence[str]) -> list[Part]:
        """The services of these names (a slot has its own, too), in the file's order; all where none is named."""
        for name in wanted:
            if self.named(name)[0].job:
                raise SfpError(f"{name} is a job: it is run, not started.")
        known = self.services if self.written else tuple(map(_bare, wanted))
        return [part for part in known if not wanted or {part.key, part.name} & set(wanted)]

    def named(self, name: str) -> list[Part]:
        """The services or the job of this name."""
        found = [part for part in self.parts if name in (part.key, part.name)]
        if not self.written:
            return [_bare(name)]
        if not found:
            there = ", ".join(dict.fromkeys(part.name for part in self.parts))
            raise SfpError(f"there is no service {name} in {self.project.folder}.", f"There are: {there}")
        return found

    def in_order(self, parts: Iterable[Part]) -> list[Part]:
        """These and all that they depend on, each after what it depends on."""
        known = {part.key: part for part in self.services}
        ordered: dict[str, Part] = {}

        def put(part: Part) -> None:
            for key in sorted(part.after & known.keys() - ordered.keys()):
                put(known[key])
            ordered[part.key] = part

        for part in parts:
            put(part)
        return list(ordered.values())


def project_of(folder: str, text: str) -> Project:
    """The project that the file names."""
    found = re.search(r"^name:\s*[\"']?([a-z0-9][a-z0-9_-]*)[\"']?\s*$", text, re.MULTILINE)
    if found is None:
        raise SfpError(f"{folder}/{FILE} names no project.")
    return Project(found[1], folder)


def unwritten(folder: str) -> Bundle:
    """What is known of a bundle by where it will lie: `<tenant>/releases/<name>`."""
    return Bundle(Project(f"sfp-{PurePosixPath(folder).parents[1].name}", folder), (), written=False)


def parse(project: Project, text: str, config: str) -> Bundle:
    """The bundle: `text` is its file, `config` what Compose made of it, which has no order of its own."""
    services: Mapping[str, Any] = json.loads(config).get("services") or {}
    order = {key: number for number, key in enumerate(_keys(text))}
    keys = sorted(services, key=lambda key: (order.get(key, len(order)), key))
    return Bundle(project, tuple(_part(key, services[key], services) for key in keys))


def _bare(name: str) -> Part:
    return Part(name, name, "", "", False, frozenset(), (), 0, "")


def _part(key: str, service: Mapping[str, Any], services: Mapping[str, Any]) -> Part:
    name, slot = _slot(key, services)
    return Part(
        key=key,
        name=name,
        slot=slot,
        image=service.get("image", ""),
        job=bool(service.get("profiles")) and not slot,
        after=frozenset(service.get("depends_on") or ()),
        command=tuple(word.replace("$$", "$") for word in service.get("command") or ()),
        grace=_seconds(service.get("stop_grace_period") or "10s"),
        definition=json.dumps(service, sort_keys=True),
    )


def _slot(key: str, services: Mapping[str, Any]) -> tuple[str, str]:
    name = key[:-2]
    paired = key[-2:] in SLOTS and all(f"{name}{slot}" in services for slot in SLOTS)
    return (name, key[-1]) if paired else (key, "")


def _keys(text: str) -> list[str]:
    """The keys of the first level below `services:`, as they stand in the file."""
    _, _, below = text.partition("\nservices:")
    lines = [line for line in below.splitlines()[1:] if line.strip() and not line.lstrip().startswith("#")]
    block = next((list(group) for inside, group in groupby(lines, lambda line: line.startswith(" ")) if inside), [])
    depth = min((len(line) - len(line.lstrip()) for line in block), default=0)
    found = (re.match(rf" {{{depth}}}[\"']?([\w.-]+)[\"']?\s*:", line) for line in block)
    return [match[1] for match in found if match]


def _seconds(text: str) -> float:
    """A duration as Compose writes it: `1m30s`."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "ns": 1e-9}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(h|ms|us|ns|m|s)", text))
