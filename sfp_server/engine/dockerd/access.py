"""The way to a host's Docker that everything of the Compose engine takes."""

import json
import re
from contextlib import suppress
from functools import cached_property
from pathlib import PurePosixPath

from sfp_server.clock import Clock
from sfp_server.cmd import compose, docker, linux
from sfp_server.cmd.base import Cmd
from sfp_server.cmd.compose import BEFORE_25, FILE, Project
from sfp_server.engine.dockerd import bundle as bundles
from sfp_server.engine.dockerd import containers
from sfp_server.engine.dockerd.bundle import Bundle, Part
from sfp_server.engine.dockerd.containers import Container
from sfp_server.engine.dockerd.refusals import refused
from sfp_server.errors import SfpError
from sfp_server.host.base import Host

UPSTREAM = "config/caddy/upstream.caddy"
"""Below an instance's folder: which slot of the API Caddy hands requests to."""


class Access:
    """`host` is where changes are made, `observed` the same host for looking. They differ in a dry run, where nothing
    changes."""

    def __init__(self, host: Host, observed: Host, clock: Clock) -> None:
        self.host = host
        self.observed = observed
        self.clock = clock
        self._read: dict[str, Bundle] = {}

    @property
    def dry(self) -> bool:
        return self.host is not self.observed

    def do(self, command: Cmd, what: str) -> None:
        """Run a command that has to succeed; why Docker refused stands in the error."""
        result = self.host.run(command)
        if not result.ok:
            raise refused(result.stderr, what)

    def alone(self, project: Project, command: Cmd) -> Cmd:
        """The command, when no other changes the instance: the folder of its releases is the lock."""
        return linux.alone(PurePosixPath(project.folder).parent, command)

    def bundle(self, folder: str) -> Bundle:
        """The bundle in a folder, read once: a release does not change."""
        if folder not in self._read:
            self._read[folder] = self._parsed(folder)
        return self._read[folder]

    def project(self, folder: str) -> Project:
        """The project of a bundle, and the files that this Docker needs."""
        project = bundles.project_of(folder, self.text(folder))
        return project.with_file(BEFORE_25) if self.has_overlay(folder) and self._is_before_25 else project

    def text(self, folder: str) -> str:
        """The bundle's file as it stands."""
        content = self.observed.get(f"{folder}/{FILE}")
        if content is None:
            raise SfpError(f"{folder} is no bundle for Docker: it has no {FILE}.")
        return content.decode()

    def has_overlay(self, folder: str) -> bool:
        """Whether the bundle runs on a Docker Engine before 25, too."""
        return self.observed.get(f"{folder}/{BEFORE_25}") is not None

    def containers(self, project: Project) -> list[Container]:
        """Those of the project's services."""
        ids = self.ids(project)
        return containers.parse(self.observed.run(docker.inspect("container", ids)).stdout) if ids else []

    def ids(self, project: Project, running: bool = False) -> list[str]:
        """Of all containers that Compose made for the project."""
        asked = docker.containers(f"{containers.PROJECT}={project.name}", running)
        return self.observed.run(asked).stdout.split()

    def serving(self, found: Bundle, there: list[Container]) -> list[Part]:
        """All services; of two slots the one that Caddy hands requests to."""
        text = (self.observed.get(str(PurePosixPath(found.project.folder).parents[1] / UPSTREAM)) or b"").decode()
        named = set(re.findall(r"^to ([\w-]+):", text, re.MULTILINE))
        groups = found.by_name().values()
        return [part for parts in groups for part in containers.serving(parts, there, named)]

    def _parsed(self, folder: str) -> Bundle:
        if self.dry and self.observed.get(f"{folder}/{FILE}") is None:
            return bundles.unwritten(folder)
        project = self.project(folder)
        result = self.observed.run(compose.config(project))
        if not result.ok:
            raise refused(result.stderr, f"reading {folder}/{FILE}")
        return bundles.parse(project, self.text(folder), result.stdout)

    @cached_property
    def _is_before_25(self) -> bool:
        with suppress(ValueError, KeyError, TypeError):
            version = json.loads(self.observed.run(docker.version()).stdout)["Server"]["Version"]
            return int(version.partition(".")[0]) < 25
        return False
