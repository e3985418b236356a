"""What to run: `services.json` of a bundle, read strictly into frozen values."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from sfp_server.engine.supervisor.shape import Shape, optional, read, required
from sfp_server.errors import SfpError

SCHEMA = "sfp.services"
VERSION = 1


@dataclass(frozen=True)
class Health:
    """How a service shows that it works: a command that ends with 0. Times are in seconds.

    Until it first succeeds it is asked again and again, for at most `start_period`; then each `interval`. `retries`
    failures in a row, or `timeout`s, make a healthy service unhealthy.
    """

    argv: tuple[str, ...]
    start_period: float = 60
    interval: float = 5
    timeout: float = 5
    retries: int = 3


@dataclass(frozen=True)
class Spec:
    """One service. `{python}` in an argument is this Python, `{bundle}` the bundle's folder.

    `after` names the services that must be healthy first. `files` are files or folders whose content belongs to the
    service (its secrets, its configuration): a change restarts it. `death_signal` is what the kernel sends when the
    supervisor dies. A `job` is never started by `up`, only run.
    """

    name: str
    argv: tuple[str, ...]
    env_file: str = ""
    after: tuple[str, ...] = ()
    health: Health | None = None
    stop_signal: str = "SIGTERM"
    stop_timeout: float = 10
    death_signal: str = ""
    image: str = ""
    files: tuple[str, ...] = ()
    job: bool = False

    @property
    def dies_by(self) -> str:
        """Its own death signal, else SIGKILL; a stop signal that is not the usual one is kept (PostgreSQL's SIGINT)."""
        return self.death_signal or (self.stop_signal if self.stop_signal != "SIGTERM" else "SIGKILL")


@dataclass(frozen=True)
class Bundle:
    """The services of one release of one instance, in their order; all paths are absolute."""

    folder: Path
    tenant: str
    release: str
    run: Path
    logs: Path
    data: Path | None
    specs: tuple[Spec, ...]

    @property
    def services(self) -> tuple[Spec, ...]:
        """All but the jobs."""
        return tuple(spec for spec in self.specs if not spec.job)

    def spec(self, name: str) -> Spec:
        """The service or job of this name."""
        for spec in self.specs:
            if spec.name == name:
                return spec
        raise SfpError(f"there is no service {name} in {self.folder}.", f"There are: {names(self.specs)}")

    def chosen(self, wanted: Sequence[str]) -> tuple[Spec, ...]:
        """The services of these names, in the bundle's order; all where none is named."""
        jobs = [name for name in wanted if self.spec(name).job]
        if jobs:
            raise SfpError(f"{jobs[0]} is a job: it is run, not started.")
        return tuple(spec for spec in self.services if not wanted or spec.name in wanted)

    def with_dependencies(self, wanted: Sequence[str]) -> tuple[Spec, ...]:
        """The chosen services and all that they come after."""
        found = {spec.name for spec in self.chosen(wanted)}
        while more := {name for spec in self.specs if spec.name in found for name in spec.after} - found:
            found |= more
        return tuple(spec for spec in self.services if spec.name in found)

    def argv(self, arguments: Iterable[str], python: str) -> list[str]:
        """A command line with its placeholders filled in."""
        return [part.replace("{python}", python).replace("{bundle}", str(self.folder)) for part in arguments]

    def environment(self, spec: Spec) -> dict[str, str]:
        """The settings in the service's environment file."""
        return parse_environment((self.folder / spec.env_file).read_text()) if spec.env_file else {}

    def fingerprint(self, spec: Spec) -> str:
        """Changes when the service has to be restarted to be what the bundle says, and only then."""
        digest = sha256(repr((spec.argv, spec.image, spec.death_signal)).encode())
        digest.update(repr(sorted(self.environment(spec).items())).encode())
        for path in _files_below(Path(name) for name in self.argv(spec.files, "")):
            digest.update(path.name.encode() + b"\0" + sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def names(specs: Iterable[Spec]) -> str:
    return ", ".join(spec.name for spec in specs)


def parse_environment(text: str) -> dict[str, str]:
    """Lines `NAME=value`; the value is the rest of the line as it stands. Empty lines and `#` lines are skipped."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {name.strip(): value for name, _, value in (line.partition("=") for line in lines)}


def load(folder: Path) -> Bundle:
    """The bundle in this folder, checked whole; every problem is named at once."""
    path = folder / "services.json"
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        raise SfpError(f"{folder} is no bundle: it has no services.json.") from None
    except ValueError as error:
        raise SfpError(f"{path}: {error}") from None
    _check_version(path, document)
    problems: list[str] = []
    fields = read(document, _BUNDLE, "", problems)
    specs = tuple(_spec(raw, f"services[{n}].", problems) for n, raw in enumerate(fields["services"]))
    problems += _wrong_order(specs)
    if problems:
        raise SfpError("\n  ".join([f"{path}:", *problems]))
    return _bundle(folder.resolve(), fields, specs)


def _bundle(folder: Path, fields: Mapping[str, Any], specs: tuple[Spec, ...]) -> Bundle:
    data = Path(fields["data"]) if fields["data"] else None
    run, logs = Path(fields["run"]), Path(fields["logs"])
    return Bundle(folder, fields["tenant"], fields["release"], run, logs, data, specs)


def _check_version(path: Path, document: Any) -> None:
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise SfpError(f"{path} is not a {SCHEMA} document.")
    if document.get("version") != VERSION:
        raise SfpError(
            f"{path} is version {document.get('version')}; this program reads version {VERSION}.",
            "Use the sfp-server that wrote it.",
        )


def _spec(raw: Any, where: str, problems: list[str]) -> Spec:
    fields = read(raw, _SERVICE, where, problems)
    if fields["health"] is not None:
        fields["health"] = Health(**read(fields["health"], _HEALTH, where + "health.", problems))
    return Spec(**fields)


def _wrong_order(specs: Sequence[Spec]) -> Iterable[str]:
    """Names that stand twice, dependencies that do not exist, and circles."""
    services = {spec.name: set(spec.after) for spec in specs if not spec.job}
    for n, spec in enumerate(specs):
        if any(spec.name == other.name for other in specs[:n]):
            yield f"{spec.name}: stands twice"
        yield from (f"{spec.name}: after {name}, which is no service" for name in spec.after if name not in services)
    waiting = {name: after & set(services) for name, after in services.items()}
    while free := [name for name, after in waiting.items() if not after & set(waiting)]:
        waiting = {name: after for name, after in waiting.items() if name not in free}
    if waiting:
        yield f"{', '.join(waiting)}: each comes after the other"


def _files_below(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        yield from sorted(below for below in path.rglob("*") if below.is_file())
        yield from [path] if path.is_file() else []


_BUNDLE: Shape = {
    "schema": required("text"), "version": required("number"), "tenant": required("text"),
    "release": required("text"), "run": required("path"), "logs": required("path"), "data": optional("path", ""),
    "services": required("list"),
}  # fmt: skip

_SERVICE: Shape = {
    "name": required("name"), "argv": required("texts"), "env_file": optional("text", ""),
    "after": optional("texts", ()), "health": optional("object", None), "stop_signal": optional("signal", "SIGTERM"),
    "stop_timeout": optional("number", 10), "death_signal": optional("signal", ""), "image": optional("text", ""),
    "files": optional("texts", ()), "job": optional("yes or no", False),
}  # fmt: skip

_HEALTH: Shape = {
    "argv": required("texts"), "start_period": optional("number", 60), "interval": optional("number", 5),
    "timeout": optional("number", 5), "retries": optional("number", 3),
}  # fmt: skip
