"""Docker Compose's commands, on a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sfp_server.cmd.base import Cmd, cmd

FILE = "compose.yml"
BEFORE_25 = "compose.engine-24.yml"
"""What a Docker Engine before 25 needs on top, where the bundle has it."""
_ALL = ("--profile", "*")  # what is asked for by name is found, whatever profile it has


@dataclass(frozen=True)
class Project:
    """`name` is what Compose labels all that it makes with; `folder` holds the files. All is always said: what stands
    in somebody's environment (COMPOSE_FILE, COMPOSE_PROJECT_NAME) is not meant for this."""

    name: str
    folder: str
    files: tuple[str, ...] = (FILE,)

    def with_file(self, file: str) -> "Project":
        return replace(self, files=(*self.files, file))

    def command(self, *arguments: object) -> Cmd:
        files = [part for file in self.files for part in ("--file", f"{self.folder}/{file}")]
        where = ("--project-name", self.name, "--project-directory", self.folder, *files)
        return cmd("docker", "compose", *where, *arguments)


def version() -> Cmd:
    """The version of Compose alone."""
    return cmd("docker", "compose", "version", "--short", timeout=30)


def config(project: Project) -> Cmd:
    """The file as Compose reads it, with jobs too, as JSON; `$` is written `$$`."""
    return project.command(*_ALL, "config", "--format", "json")


def take_away(project: Project, services: Sequence[str]) -> Cmd:
    """Stop services, each in its own time, and remove their containers. What depends on them is not touched."""
    return project.command(*_ALL, "rm", "--stop", "--force", *services)


def up(project: Project, services: Sequence[str], wait: int, orphans: bool = False) -> Cmd:
    """Start services and what they depend on, and wait `wait` seconds for them; with `orphans`, remove containers of
    services that the file no longer has. Nothing is built or pulled."""
    never = ("--detach", "--no-build", "--pull", "never")
    waiting = ("--wait", "--wait-timeout", wait)
    return project.command("up", *never, *waiting, *(["--remove-orphans"] if orphans else []), *services)


def stop(project: Project, services: Sequence[str], timeout: int) -> Cmd:
    """Stop services in reverse order of their dependencies."""
    return project.command(*_ALL, "stop", "--timeout", timeout, *services)


def logs(project: Project, services: Sequence[str], tail: int, follow: bool = False) -> Cmd:
    """The last lines of each service as `container  | time text`."""
    plain = ("--no-color", "--timestamps", "--tail", tail)
    return project.command(*_ALL, "logs", *plain, *(["--follow"] if follow else []), *services)


def run(project: Project, service: str, argv: Sequence[str]) -> Cmd:
    """A container of a service for one command, which is gone when that ends."""
    return project.command("--progress", "quiet", "run", "--rm", "--no-deps", "-T", service, *argv)
