"""A start of some services: what is in the way is taken away, Compose brings up the rest, and is looked after."""

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from sfp_server.cmd import compose, docker, linux
from sfp_server.cmd.compose import FILE
from sfp_server.engine.dockerd.access import Access
from sfp_server.engine.dockerd.bundle import Bundle, Part
from sfp_server.engine.dockerd.containers import Container
from sfp_server.engine.dockerd.refusals import explain, refused
from sfp_server.errors import RemoteError, SfpError
from sfp_server.host.base import Result

_TURN = 10  # seconds after which a start that waits is looked at: Compose waits on for one that dies again and again
_PAUSE = 0.2  # seconds before the next turn, where Compose gave up at once
_TRIES = 3  # deaths in a row after which there is an answer; Docker itself goes on trying
_ENDED = 124  # the code of `timeout`
_MAY_PASS = re.compile(r"is unhealthy|exited \(\d+\)|not healthy after|timeout waiting|deadline exceeded")
_LINES = 10  # of a log, in an error
_MORE = "More of what it said: sfp server logs"


@dataclass(frozen=True)
class Start:
    """A start of `parts`, in the order of their dependencies; `before` are the containers as they were found.
    `orphans` says to remove those of services that the bundle no longer has."""

    access: Access
    bundle: Bundle
    parts: Sequence[Part]
    before: Sequence[Container]
    timeout: float
    orphans: bool

    def run(self) -> None:
        self._make_way()
        clock, turn = self.access.clock, _TURN + self._grace()
        end = clock.monotonic() + self.timeout + self._grace()
        while not (result := self._up(min(turn, end - clock.monotonic()))).ok:
            self._give_up(result)
            if clock.monotonic() >= end:
                raise self._late()
            clock.sleep(_PAUSE)
            turn = _TURN

    def _up(self, seconds: float) -> Result:
        wait = max(1, math.ceil(seconds))
        project = self.bundle.project
        command = compose.up(project, [part.key for part in self.parts], wait, self.orphans)
        return self.access.host.run(linux.limited(wait + 5, self.access.alone(project, command)))

    def _make_way(self) -> None:
        """Take away what another bundle made and this one wants otherwise. `up` alone would make anew what depends on
        it, too (measured with Compose 2.26), and a worker's tasks would end with it."""
        own = f"{self.bundle.project.folder}/{FILE}"
        made = {there.key: there.file for there in self.before if there.file != own}
        was = {file: self._definitions(file) for file in set(made.values())}
        known = [part for part in self.parts if part.key in made]
        changed = [part.key for part in known if was[made[part.key]].get(part.key) != part.definition]
        if changed:
            project = self.bundle.project
            self.access.do(self.access.alone(project, compose.take_away(project, changed)), "replacing services")

    def _definitions(self, file: str) -> Mapping[str, str]:
        """Of the services of another bundle; nothing where it is not there any more."""
        with suppress(SfpError):
            return {part.key: part.definition for part in self.access.bundle(str(PurePosixPath(file).parent)).parts}
        return {}

    def _grace(self) -> float:
        """The longest that something which runs may take to end, if it is to be replaced."""
        running = {there.key for there in self.before if there.status == "running"}
        return max((part.grace for part in self.parts if part.key in running), default=0)

    def _give_up(self, result: Result) -> None:
        """Raise what stands in the way for good; what is only slow does not."""
        if error := explain(result.stderr, "the start"):
            raise error
        restarts = {there.id: there.restarts for there in self.before}
        for part, there in self._now():
            if there and (hopeless := _hopeless(there, restarts)):
                raise self._failure(part, there, hopeless)
        if result.code != _ENDED and not _MAY_PASS.search(result.stderr):
            raise refused(result.stderr, "docker compose up")

    def _late(self) -> SfpError:
        for part, there in self._now():
            if there is None or not there.well:
                return self._failure(part, there, f"did not become healthy in {self.timeout:g} s")
        return SfpError(f"the services were not up in {self.timeout:g} s.", _MORE)

    def _now(self) -> list[tuple[Part, Container | None]]:
        known = {there.key: there for there in self.access.containers(self.bundle.project)}
        return [(part, known.get(part.key)) for part in self.parts]

    def _failure(self, part: Part, there: Container | None, what: str) -> SfpError:
        said: list[str] = []
        with suppress(RemoteError):
            said = list(self.access.observed.stream(docker.logs(there.id, _LINES))) if there else []
        detail = [there.detail] if there and there.detail and there.detail not in what else []
        lines = [f"{part.name} {what}", *(f"    {line}" for line in detail)]
        return SfpError("\n".join([*lines, *(f"    {part.name} | {line}" for line in said)]), _MORE)


def _hopeless(there: Container, restarts: Mapping[str, int]) -> str:
    """Why there is no use in waiting on; empty where there is."""
    if there.status == "running" and there.health == "unhealthy":
        return "did not become healthy"
    if there.status in ("exited", "dead") or there.restarts - restarts.get(there.id, 0) >= _TRIES:
        return f"does not stay up: it ended with code {there.code}"
    return f"was not started: {there.detail}" if there.status == "created" and there.detail else ""
