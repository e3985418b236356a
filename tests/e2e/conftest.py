"""What the end-to-end tests share: stand-ins, a registry, and one release built and pushed for all of them."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sfp_server.ops.release import Release, parse
from tests.e2e.machinery import registry
from tests.e2e.machinery.docker import PREFIX, exists
from tests.e2e.machinery.prepared import Prepared, prepare
from tests.e2e.machinery.stages import Stages

STAGES = pytest.StashKey[Stages]()
VERSION = "0.1.0"

Sfp = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Released:
    """A release that stands in the local registry, and the file that says so."""

    file: Path
    release: Release
    prepared: Prepared


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STAGES] = Stages()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    done = config.stash[STAGES].done
    if done:
        terminalreporter.section("stages")
        for name, took in done:
            terminalreporter.write_line(f"{took:8.1f} s  {name}")


@pytest.fixture(scope="session")
def stages(pytestconfig: pytest.Config) -> Stages:
    return pytestconfig.stash[STAGES]


@pytest.fixture(scope="session")
def sfp() -> Sfp:
    """Run `sfp-server` as a program; its output is returned, its exit code is the test's to judge."""

    def run(*arguments: object, timeout: float = 1500) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-c", "from sfp_server.cli import main; main()"]
        command = [*program, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout)

    return run


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, stages: Stages) -> Iterator[Prepared]:
    """Base images, stand-ins and a registry. The registry ends with the tests unless it ran before them; what was
    pushed stays in its volume, so that the next run is fast."""
    ran = exists("container", f"{PREFIX}registry")
    found = prepare(tmp_path_factory.mktemp("prepared"), stages)
    yield found
    if not ran:
        registry.stop(found.registry)


@pytest.fixture(scope="session")
def released(prepared: Prepared, sfp: Sfp, stages: Stages, tmp_path_factory: pytest.TempPathFactory) -> Released:
    """A release built from this checkout, by the command that people use."""
    file = tmp_path_factory.mktemp("release") / "release.json"
    with stages.stage("release build"):
        done = sfp("release", "build", "--version", VERSION, *prepared.build_options(), "--output", file, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["version"] == VERSION
    return Released(file, parse(file.read_text(), str(file)), prepared)
