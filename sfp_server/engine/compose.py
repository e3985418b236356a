"""The Compose engine: a bundle's `compose.yml` on a host's Docker, by Docker's own commands.

Changes are made one at a time on an instance (`flock` on the folder of its releases), for two Composes at once make
networks twice. A command that was cut off is done again: Compose goes on from what it finds in Docker.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from sfp_server.clock import Clock, SystemClock
from sfp_server.cmd import compose, docker, linux
from sfp_server.cmd.compose import Project
from sfp_server.engine.base import Service
from sfp_server.engine.dockerd import containers, integrity, requirements
from sfp_server.engine.dockerd.access import Access
from sfp_server.engine.dockerd.bundle import Part
from sfp_server.engine.dockerd.containers import Container
from sfp_server.engine.dockerd.starting import Start
from sfp_server.errors import RemoteError, SfpError
from sfp_server.host.base import Host, Result, must

_KINDS = ("container", "network", "volume")


class ComposeEngine:
    """`host` is where Docker runs. `observed` is the same host for looking: in a dry run, `host` only says what it
    would do."""

    name = "compose"

    def __init__(self, host: Host, observed: Host | None = None, clock: Clock | None = None) -> None:
        self._docker = Access(host, observed or host, clock or SystemClock())

    def problems(self, bundle: str) -> Sequence[str]:
        needs_25 = "start_interval:" in self._docker.text(bundle) and not self._docker.has_overlay(bundle)
        found = requirements.unmet(self._docker.observed, needs_25)
        return found or self._misread(bundle)

    def fetch(self, bundle: str) -> Iterator[str]:
        """Pull each image by its digest where it is not there. What came has to be what the digest says, and be made
        for this machine."""
        return integrity.bring(self._docker.host, self._docker.observed, self._docker.bundle(bundle).images)

    def verify(self, bundle: str) -> Sequence[str]:
        """Whether each running container is of the image that the bundle pins."""
        found = self._docker.bundle(bundle)
        images = integrity.held(self._docker.observed, found.images)
        return integrity.differences(found.services, self._docker.containers(found.project), images)

    def up(self, bundle: str, services: Sequence[str] = (), timeout: float = 120) -> None:
        """Of two slots of a service the one that serves is started, unless a slot is named itself."""
        found = self._docker.bundle(bundle)
        there = self._docker.containers(found.project)
        chosen = found.chosen(services)
        idle = {part.key for part in found.services} - {part.key for part in self._docker.serving(found, there)}
        wanted = [part for part in found.in_order(chosen) if part.key not in idle - set(services)]
        Start(self._docker, found, wanted, there, timeout, orphans=not services).run()

    def down(self, bundle: str, services: Sequence[str] = (), timeout: float = 30) -> None:
        """Containers stay, so that their logs can be read."""
        found = self._docker.bundle(bundle)
        ended = ("exited", "created", "dead")
        active = {there.key for there in self._docker.containers(found.project) if there.status not in ended}
        names = [part.key for part in found.chosen(services) if part.key in active]
        if names:
            command = compose.stop(found.project, names, math.ceil(timeout))
            self._docker.do(self._docker.alone(found.project, command), "stopping services")
        if not services:
            self._stop_rest(found.project, timeout)

    def ps(self, bundle: str, stats: bool = False) -> Sequence[Service]:
        found = self._docker.bundle(bundle)
        there = self._docker.containers(found.project)
        now = float(self._docker.observed.run(linux.NOW).stdout or 0)
        names = found.by_name()
        rows = [containers.service(name, parts, there, now) for name, parts in names.items()]
        return self._with_use(rows, names, there) if stats else rows

    def logs(self, bundle: str, services: Sequence[str] = (), tail: int = 100, follow: bool = False) -> Iterator[str]:
        found = self._docker.bundle(bundle)
        keys = {part.key: part.name for part in found.chosen(services)}
        lines = self._docker.observed.stream(compose.logs(found.project, list(keys), tail, follow))
        return _labelled(lines, keys) if follow else iter(sorted(_labelled(lines, keys), key=_time))

    def run_once(self, bundle: str, service: str, arguments: Sequence[str]) -> Result:
        found = self._docker.bundle(bundle)
        part = found.named(service)[0]
        return self._docker.host.run(compose.run(found.project, part.key, [*part.command, *arguments]))

    def exec(self, bundle: str, service: str, argv: Sequence[str]) -> Result:
        found = self._docker.bundle(bundle)
        keys = {part.key for part in found.named(service)}
        there = [one for one in self._docker.containers(found.project) if one.key in keys and one.status == "running"]
        if not there:
            return Result(1, "", f"{service} is not running.\n")
        return self._docker.host.run(docker.execute(max(there, key=lambda one: one.started).id, argv))

    def remove(self, bundle: str, keep_data: bool = False) -> None:
        """Everything that is labelled as the instance's, the bundle's images too unless another needs them."""
        project = self._docker.project(bundle)
        images = self._images(bundle)
        kinds = [kind for kind in _KINDS if kind != "volume" or not keep_data]
        self._stop_rest(project, 30)
        for kind in kinds:
            if names := self._ours(kind, project):
                self._docker.do(docker.remove(kind, names), f"removing {kind}s")
        for image in images:
            self._docker.host.run(docker.remove("image", [image]))
        left = [f"{kind} {name}" for kind in kinds for name in self._ours(kind, project)]
        if left and not self._docker.dry:
            raise RemoteError(f"not all of {project.name} could be removed: {', '.join(left)}", "Try again.")

    def _stop_rest(self, project: Project, timeout: float) -> None:
        """What still runs of the project: of services that the file no longer has, and of `run`."""
        if running := self._docker.ids(project, running=True):
            self._docker.do(docker.stop(running, math.ceil(timeout)), "stopping containers")

    def _ours(self, kind: str, project: Project) -> list[str]:
        """What Compose made for the project, and what its services made themselves: sandboxes and their network."""
        tenant = project.name.removeprefix("sfp-")
        labels = (f"{containers.PROJECT}={project.name}", f"{containers.TENANT}={tenant}")
        asked = [docker.containers(label) if kind == "container" else docker.listed(kind, label) for label in labels]
        found = [name for command in asked for name in must(self._docker.observed, command).stdout.split()]
        return list(dict.fromkeys(found))

    def _images(self, bundle: str) -> list[str]:
        """Those that the bundle pins; none where it cannot be read, for removing goes on without them."""
        with suppress(SfpError):
            return integrity.pinned(self._docker.bundle(bundle).images)
        return []

    def _misread(self, bundle: str) -> list[str]:
        try:
            self._docker.bundle(bundle)
        except SfpError as error:
            return [error.message]
        return []

    def _with_use(
        self, rows: Sequence[Service], names: Mapping[str, Sequence[Part]], there: Sequence[Container]
    ) -> list[Service]:
        running = [one.id for one in there if one.status == "running"]
        used = docker.parse(self._docker.observed.run(docker.stats(running)).stdout) if running else []
        by_id = {str(use["ID"]): use for use in used}
        keys = {name: {part.key for part in parts} for name, parts in names.items()}
        ids = {name: [one.id for one in there if one.key in keys[name]] for name in names}
        return [containers.with_use(row, ids[row.name], by_id) for row in rows]


# Compose writes `api-a-1  | 2026-11-24T02:00:00.123456789Z text`; some versions put a control sequence in front.
_LINE = re.compile(
    r"(?:\x1b\[\d*[A-Z])?(?P<key>\S+?)(?:-\d+)?\s+\| (?:(?P<time>\d{4}-[\d-]+T[\d:]+)(?P<part>\.\d+)?Z )?(?P<text>.*)"
)


def _labelled(lines: Iterator[str], keys: Mapping[str, str]) -> Iterator[str]:
    """`service | time text`, the time in milliseconds."""
    try:
        for line in lines:
            if found := _LINE.fullmatch(line):
                stamp = f"{found['time']}.{(found['part'] or '.')[1:4]:0<3}Z " if found["time"] else ""
                yield f"{keys.get(found['key'], found['key'])} | {stamp}{found['text']}"
    finally:
        if close := getattr(lines, "close", None):
            close()  # ends the command


def _time(line: str) -> str:
    return line.partition(" | ")[2][:24]
