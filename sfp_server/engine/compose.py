"""The Compose engine: a bundle's `compose.yml` on a host's Docker, by Docker's own commands.

Changes are made one at a time on an instance (`flock` on the folder of its releases), for two Composes at once make
networks twice. A command that was cut off is done again: Compose goes on from what it finds in Docker.
"""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import PurePosixPath

from sfp_server.clock import Clock, SystemClock
from sfp_server.cmd import compose, docker, linux
from sfp_server.cmd.base import Cmd
from sfp_server.cmd.compose import FILE, Project
from sfp_server.engine.base import Service
from sfp_server.engine.dockerd import bundle as bundles
from sfp_server.engine.dockerd import containers, integrity, requirements
from sfp_server.engine.dockerd.bundle import Bundle, Part
from sfp_server.engine.dockerd.containers import Container
from sfp_server.engine.dockerd.refusals import explain, refused
from sfp_server.errors import RemoteError, SfpError
from sfp_server.host.base import Host, Result, must

_TURN = 10  # seconds after which a start that waits is looked at: Compose waits on for one that dies again and again
_TRIES = 3  # deaths in a row after which `up` gives its answer; Docker itself goes on trying
_PAUSE = 0.2  # seconds before the next look, where Compose gave up at once
_ENDED = 124  # the code of `timeout`
_MAY_PASS = re.compile(r"is unhealthy|exited \(\d+\)|not healthy after|timeout waiting|deadline exceeded")
_LINES = 10  # of a log, in an error
_MORE = "More of what it said: sfp server logs"


class ComposeEngine:
    """`host` is where Docker runs. `observed` is the same host for looking: in a dry run, `host` only says what it
    would do."""

    name = "compose"

    def __init__(self, host: Host, observed: Host | None = None, clock: Clock | None = None) -> None:
        self._host = host
        self._observed = observed or host
        self._clock = clock or SystemClock()
        self._read: dict[str, Bundle] = {}

    def problems(self, bundle: str) -> Sequence[str]:
        text = self._text(bundle)
        found = requirements.unmet(self._observed, "start_interval:" in text)
        return found or self._misread(bundle)

    def fetch(self, bundle: str) -> Iterator[str]:
        """Bring to the host what the bundle names, and say how it goes on; an error where it is not what it should
        be."""
        return integrity.bring(self._host, self._observed, self._bundle(bundle).images)

    def verify(self, bundle: str) -> Sequence[str]:
        """What runs and is not what the bundle pins: one line each, none is good."""
        found = self._bundle(bundle)
        images = integrity.held(self._observed, found.images)
        return integrity.differences(found.services, self._containers(found.project), images)

    def up(self, bundle: str, services: Sequence[str] = (), timeout: float = 120) -> None:
        found = self._bundle(bundle)
        before = self._containers(found.project)
        parts = _wanted(found, services, before)
        self._make_way(found, parts, before)
        self._start(found, parts, _begun(before), timeout, _grace(found, before), orphans=not services)

    def down(self, bundle: str, services: Sequence[str] = (), timeout: float = 30) -> None:
        found = self._bundle(bundle)
        keys = {part.key for part in found.chosen(services)}
        there = [part for part in self._containers(found.project) if part.status != "exited" and part.key in keys]
        if there:
            names = [part.key for part in found.services if part.key in {container.key for container in there}]
            self._do(self._alone(bundle, compose.stop(found.project, names, math.ceil(timeout))), "stop")
        if not services:
            self._stop_all(found.project, timeout)

    def ps(self, bundle: str, stats: bool = False) -> Sequence[Service]:
        found = self._bundle(bundle)
        there = self._containers(found.project)
        now = float(self._observed.run(linux.NOW).stdout or 0)
        names = found.by_name()
        rows = [containers.service(name, parts, there, now) for name, parts in names.items()]
        return self._with_use(rows, names, there) if stats else rows

    def logs(self, bundle: str, services: Sequence[str] = (), tail: int = 100, follow: bool = False) -> Iterator[str]:
        found = self._bundle(bundle)
        keys = {part.key: part.name for part in found.chosen(services)}
        lines = self._host.stream(compose.logs(found.project, list(keys), tail, follow))
        return _labelled(lines, keys) if follow else iter(sorted(_labelled(lines, keys), key=_time))

    def run_once(self, bundle: str, service: str, arguments: Sequence[str]) -> Result:
        found = self._bundle(bundle)
        part = found.named(service)[0]
        return self._host.run(compose.run(found.project, part.key, [*part.command, *arguments]))

    def exec(self, bundle: str, service: str, argv: Sequence[str]) -> Result:
        found = self._bundle(bundle)
        keys = [part.key for part in found.named(service)]
        running = [
            there for there in self._containers(found.project) if there.key in keys and there.status == "running"
        ]
        if not running:
            return Result(1, "", f"{service} is not running.\n")
        return self._host.run(docker.execute(max(running, key=lambda there: there.started).id, argv))

    def remove(self, bundle: str, keep_data: bool = False) -> None:
        project = bundles.project_of(bundle, self._text(bundle))
        images = self._images(bundle)
        self._stop_all(project, 30)
        kinds = ["container", "network", *([] if keep_data else ["volume"])]
        for kind in kinds:
            if names := self._ours(kind, project):
                self._do(docker.remove(kind, names), f"remove {kind}s")
        for image in images:
            self._host.run(docker.remove("image", [image]))  # another instance may use it; then it stays
        left = [f"{kind} {name}" for kind in kinds for name in self._ours(kind, project)]
        if left and not self._dry:
            raise RemoteError(f"not all of {project.name} could be removed: {', '.join(left)}", "Try again.")

    def _make_way(self, found: Bundle, parts: Sequence[Part], there: Sequence[Container]) -> None:
        """Take away what another bundle made and this one wants otherwise. `up` alone would make anew what depends on
        it, too (measured with Compose 2.26), and a worker's tasks would end with it."""
        own = f"{found.project.folder}/{FILE}"
        made = {container.key: container.file for container in there}
        files = {file for part in parts if (file := made.get(part.key, own)) != own}
        before = {file: self._definitions(file) for file in files}
        wanted = [part for part in found.in_order(parts) if made.get(part.key) in files]
        changed = [part.key for part in wanted if before[made[part.key]].get(part.key) != part.definition]
        if changed:
            self._do(self._alone(found.project.folder, compose.take_away(found.project, changed)), "replace")

    def _definitions(self, file: str) -> dict[str, str]:
        """Of the services of another bundle; nothing where it is not there any more."""
        with suppress(SfpError):
            return {part.key: part.definition for part in self._bundle(str(PurePosixPath(file).parent)).parts}
        return {}

    def _start(
        self, found: Bundle, parts: Sequence[Part], begun: dict[str, int], timeout: float, grace: float, orphans: bool
    ) -> None:
        """Compose's `up`, until it is done, or is seen to have no hope, or the time is over."""
        end = self._clock.monotonic() + timeout + grace
        turn = _TURN + grace
        while True:
            wait = max(1, math.ceil(min(turn, end - self._clock.monotonic())))
            command = compose.up(found.project, [part.key for part in parts], wait, orphans)
            result = self._host.run(linux.limited(wait + 5, self._alone(found.project.folder, command)))
            if result.ok:
                return
            self._give_up(found, parts, begun, result)
            if self._clock.monotonic() >= end:
                raise self._late(found, parts, timeout)
            turn = _TURN
            self._clock.sleep(_PAUSE)

    def _give_up(self, found: Bundle, parts: Sequence[Part], begun: dict[str, int], result: Result) -> None:
        """Raise what stands in the way for good; what is only slow does not."""
        if error := explain(result.stderr, "start"):
            raise error
        known = {there.key: there for there in self._containers(found.project)}
        for part in found.in_order(parts):
            there = known.get(part.key)
            if there and (hopeless := _hopeless(there, begun)):
                raise self._failure(part, there, hopeless)
        if result.code != _ENDED and not _MAY_PASS.search(result.stderr):
            raise refused(result.stderr, "docker compose up")

    def _late(self, found: Bundle, parts: Sequence[Part], timeout: float) -> SfpError:
        known = {there.key: there for there in self._containers(found.project)}
        for part in found.in_order(parts):
            there = known.get(part.key)
            if there is None or not there.well:
                return self._failure(part, there, f"did not become healthy in {timeout:g} s")
        return SfpError(f"the services were not up in {timeout:g} s.", _MORE)

    def _failure(self, part: Part, there: Container | None, what: str) -> SfpError:
        said: list[str] = []
        with suppress(RemoteError):
            said = list(self._host.stream(docker.logs(there.id, _LINES))) if there else []
        detail = [there.detail] if there and there.detail and there.detail not in what else []
        lines = [f"{part.name} {what}", *(f"    {line}" for line in detail)]
        return SfpError("\n".join([*lines, *(f"    {part.name} | {line}" for line in said)]), _MORE)

    @property
    def _dry(self) -> bool:
        return self._host is not self._observed

    def _bundle(self, folder: str) -> Bundle:
        if folder not in self._read:
            self._read[folder] = self._parsed(folder)
        return self._read[folder]

    def _parsed(self, folder: str) -> Bundle:
        if self._dry and self._observed.get(f"{folder}/{FILE}") is None:
            return bundles.unwritten(folder)
        text = self._text(folder)
        project = bundles.project_of(folder, text)
        result = self._observed.run(compose.config(project))
        if not result.ok:
            raise refused(result.stderr, f"reading {folder}/{FILE}")
        return bundles.parse(project, text, result.stdout)

    def _misread(self, folder: str) -> list[str]:
        try:
            self._bundle(folder)
        except SfpError as error:
            return [error.message]
        return []

    def _text(self, folder: str) -> str:
        content = self._observed.get(f"{folder}/{FILE}")
        if content is None:
            raise SfpError(f"{folder} is no bundle for Docker: it has no {FILE}.")
        return content.decode()

    def _containers(self, project: Project) -> list[Container]:
        ids = self._observed.run(docker.containers(f"{containers.PROJECT}={project.name}")).stdout.split()
        return containers.parse(self._observed.run(docker.inspect("container", ids)).stdout) if ids else []

    def _with_use(
        self, rows: Sequence[Service], names: dict[str, list[Part]], there: Sequence[Container]
    ) -> list[Service]:
        running = [found.id for found in there if found.status == "running"]
        used = docker.parse(self._observed.run(docker.stats(running)).stdout) if running else []
        by_id = {str(use["ID"]): use for use in used}
        keys = {name: {part.key for part in parts} for name, parts in names.items()}
        ids = {name: [found.id for found in there if found.key in keys[name]] for name in names}
        return [containers.with_use(row, ids[row.name], by_id) for row in rows]

    def _stop_all(self, project: Project, timeout: float) -> None:
        """What still runs of the project: of services that the file no longer has, and of `run`."""
        asked = docker.containers(f"{containers.PROJECT}={project.name}", running=True)
        if running := self._observed.run(asked).stdout.split():
            self._do(docker.stop(running, math.ceil(timeout)), "stop")

    def _ours(self, kind: str, project: Project) -> list[str]:
        """What Compose made for the project, and what its services made themselves: sandboxes and their network."""
        labels = [f"{label}={project.name}" for label in (containers.PROJECT, containers.OWN)]
        asked = [docker.containers(label) if kind == "container" else docker.listed(kind, label) for label in labels]
        return [name for command in asked for name in must(self._observed, command).stdout.split()]

    def _images(self, folder: str) -> list[str]:
        """Those that the bundle pins; none where it cannot be read, for removing goes on without them."""
        with suppress(SfpError):
            found = [image.rpartition("@") for image in self._bundle(folder).images]
            return [f"{re.sub(r':[^:/]*$', '', name)}@{digest}" for name, at, digest in found if at]
        return []

    def _alone(self, folder: str, command: Cmd) -> Cmd:
        return linux.alone(PurePosixPath(folder).parent, command)

    def _do(self, command: Cmd, what: str) -> None:
        result = self._host.run(command)
        if not result.ok:
            raise refused(result.stderr, what)


def _wanted(found: Bundle, services: Sequence[str], there: Sequence[Container]) -> list[Part]:
    """The services to start; of two slots the one that serves, unless a slot is named itself."""
    chosen = found.chosen(services)
    if not found.written:
        return chosen
    serving = [part for parts in found.by_name().values() for part in containers.serving(parts, there)]
    return [part for part in chosen if part in serving or part.key in services]


def _begun(there: Sequence[Container]) -> dict[str, int]:
    return {container.id: container.restarts for container in there}


def _grace(found: Bundle, there: Sequence[Container]) -> float:
    """The longest that something which runs may take to end, if it is to be replaced."""
    running = {container.key for container in there if container.status == "running"}
    return max((part.grace for part in found.services if part.key in running), default=0)


def _hopeless(there: Container, begun: dict[str, int]) -> str:
    """Why there is no use in waiting on; empty where there is."""
    if there.status == "running" and there.health == "unhealthy":
        return "did not become healthy"
    if there.status in ("exited", "dead") or there.restarts - begun.get(there.id, 0) >= _TRIES:
        return f"does not stay up: it ended with code {there.code}"
    return f"was not started: {there.detail}" if there.status == "created" and there.detail else ""


_LINE = re.compile(
    r"(?:\x1b\[\d*[A-Z])?(?P<key>\S+?)(?:-\d+)?\s+\| (?:(?P<time>\d{4}-[\d-]+T[\d:]+)(?P<part>\.\d+)?Z )?(?P<text>.*)"
)


def _labelled(lines: Iterator[str], keys: dict[str, str]) -> Iterator[str]:
    """`service | time text`, with milliseconds, from `container-1  | time text` with nanoseconds."""
    try:
        for line in lines:
            found = _LINE.fullmatch(line)
            if found:
                stamp = f"{found['time']}.{(found['part'] or '.')[1:4]:0<3}Z " if found["time"] else ""
                yield f"{keys.get(found['key'], found['key'])} | {stamp}{found['text']}"
    finally:
        if close := getattr(lines, "close", None):
            close()


def _time(line: str) -> str:
    return line.partition(" | ")[2][:24]
