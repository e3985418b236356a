"""An instance on the toy engine, and a program that works on it: `python -m tests.fakes.toy_site BASE COMMAND`."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from sfp_server.clock import SystemClock
from sfp_server.cmd.base import Secret
from sfp_server.errors import INTERRUPTED, SfpError
from sfp_server.host.base import Host
from sfp_server.host.dry import DryHost
from sfp_server.host.local import LocalHost
from sfp_server.ops import lifecycle
from sfp_server.ops.instance import Instance
from sfp_server.ops.site import Site, Wanted
from tests.fakes.toy_engine import ToyEngine

SERVICES = ("postgres", "redis", "api", "launcher", "critical-worker", "normal-worker", "batch-worker")


class Lines:
    """A reporter that keeps what it is told, and prints it where asked."""

    def __init__(self, loud: bool = False) -> None:
        self.lines: list[str] = []
        self._loud = loud

    def begin(self, step: str) -> None:
        self._add(f"begin {step}")

    def done(self, step: str, text: str, seconds: float) -> None:
        self._add(f"done {step}: {text}")

    def failed(self, step: str, text: str) -> None:
        self._add(f"failed {step}: {text}")

    def note(self, text: str) -> None:
        self._add(f"note {text}")

    def _add(self, line: str) -> None:
        self.lines.append(line)
        if self._loud:
            print(line, flush=True)


@dataclass(frozen=True)
class ToyBundle:
    files: Mapping[str, bytes]
    version: str
    hash: str


@dataclass(frozen=True)
class Toy:
    """The settings of a toy instance: what each service is to do, and its migration program."""

    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    release: str = "1.0.0"
    schema: int = 1
    serves: str = ""
    migrate: str = 'echo "$*" >> migrated; echo "1 migration"'
    ports: Mapping[int, str] = field(default_factory=dict)
    problems: str = ""


def bundle(toy: Toy) -> ToyBundle:
    specs = [{"name": name, **toy.services.get(name, {})} for name in SERVICES]
    manifest = {"version": 1, "release": toy.release, "schema_version": toy.schema, "config_version": 1}
    files = {
        "manifest.json": json.dumps(manifest).encode(),
        "services.json": json.dumps(specs).encode(),
        "migrate.sh": toy.migrate.encode(),
        "problems.txt": toy.problems.encode(),
        "env/api.env": "".join(f"SFP_LISTEN=127.0.0.1:{port}\n" for port in toy.ports).encode(),
    }
    return ToyBundle(files, toy.release, sha256(repr(sorted(files.items())).encode()).hexdigest())


def site(base: Path, toy: Toy | None = None, reporter: Lines | None = None, dry: bool = False) -> Site:
    """The site of the toy instance under `base`, made where there is none."""
    toy, reporter = toy or Toy(), reporter or Lines()
    instance = Instance(base, "demo")
    _initialize(instance)
    real = LocalHost()
    acting: Host = DryHost(real, reporter.note) if dry else real
    state = instance.folder / "data" / "toy"
    versions = {"release": toy.serves or toy.release, "schema": toy.schema, "configuration": 1}
    return Site(
        instance=instance,
        host=acting,
        engine=ToyEngine(acting, state),
        observed=real,
        watching=ToyEngine(real, state),
        reporter=reporter,
        clock=SystemClock(),
        url="http://127.0.0.1:1",
        api="http://127.0.0.1:1",
        ports=toy.ports,
        wanted=lambda: Wanted(bundle(toy), SERVICES, {"api": {"signing-key": Secret("hush-hush")}}),
        ask=lambda url: {"status": "healthy", "versions": versions},
        dry=dry,
    )


def _initialize(instance: Instance) -> None:
    if not instance.settings_file.exists():
        instance.folder.mkdir(parents=True)
        instance.settings_file.write_text("tenant: demo\n")
        instance.secrets_file.touch(mode=0o600)


def main(arguments: Sequence[str]) -> int:
    base, command, *options = arguments
    toy = Toy(**json.loads(options[0])) if options else Toy()
    try:
        _COMMANDS[command](site(Path(base), toy, Lines(loud=True)))
    except SfpError as error:
        print(f"Error: {error.message}\n{error.hint}", flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


_COMMANDS = {"start": lifecycle.start, "stop": lifecycle.stop, "destroy": lifecycle.destroy}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
