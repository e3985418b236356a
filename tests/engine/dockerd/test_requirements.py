"""A host whose Docker cannot be used, by a program that answers as real ones did."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sfp_server.engine.compose import ComposeEngine
from sfp_server.engine.dockerd.requirements import unmet
from sfp_server.host.local import LocalHost
from tests.fakes import recorded_docker
from tests.fakes.recorded_docker import Answer

Unmet = Callable[..., list[str]]

CLIENT = {"Client": {"Version": "28.2.2", "ApiVersion": "1.50", "Os": "linux", "Arch": "amd64"}}
NO_COMPOSE = Answer(stderr="docker: 'compose' is not a docker command.\nSee 'docker --help'\n", code=1)
NO_COMPOSE_28 = Answer(stderr="unknown flag: --short\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n", code=125)


def engine(version: str) -> Answer:
    server = {"Version": version, "ApiVersion": "1.45", "Os": "linux", "Arch": "amd64"}
    return Answer(json.dumps({**CLIENT, "Server": server}) + "\n")


def without_engine(said: str) -> Answer:
    return Answer(json.dumps({**CLIENT, "Server": None}) + "\n", said, 1)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unmet:
    """What is unmet where Docker answers so."""

    def ask(version: Answer, compose: Answer | None = None, start_interval: bool = True) -> list[str]:
        answers = {"version": version, "compose version": compose or Answer("2.26.1-4\n")}
        monkeypatch.setenv("PATH", str(recorded_docker.write(tmp_path, answers)), prepend=os.pathsep)
        return list(unmet(LocalHost(), start_interval))

    return ask


@pytest.mark.parametrize("version", ["25.0.0", "26.1.5+dfsg1", "28.5.2", "29.1.0-rc.1"])
@pytest.mark.parametrize("compose", ["2.20.0", "v2.20.3", "2.26.1-4", "2.40.3", "5.4.0", "v5.0.1-desktop.1"])
def test_what_is_new_enough(told: Unmet, version: str, compose: str) -> None:
    assert told(engine(version), Answer(f"{compose}\n")) == []


def test_an_engine_that_is_too_old(told: Unmet) -> None:
    (line,) = told(engine("20.10.24+dfsg1"))
    assert line.startswith("Docker Engine 20.10.24+dfsg1 is too old; 25.0 or newer is needed: https://")


def test_an_engine_24_will_do_where_no_check_looks_more_often_at_a_start(told: Unmet) -> None:
    assert told(engine("24.0.7"), start_interval=False) == []
    assert told(engine("23.0.6"), start_interval=False)[0].startswith("Docker Engine 23.0.6 is too old; 24.0")


def test_a_compose_that_is_too_old(told: Unmet) -> None:
    (line,) = told(engine("26.1.5"), Answer("2.17.3\n"))
    assert line.startswith("Docker Compose 2.17.3 is too old; 2.20 or newer is needed")


@pytest.mark.parametrize("said", [NO_COMPOSE, NO_COMPOSE_28])
def test_no_compose(told: Unmet, said: Answer) -> None:
    (line,) = told(engine("26.1.5"), said)
    assert line.startswith("Docker Compose is missing on this machine; install its plugin: https://")


def test_both_too_old_are_told_at_once(told: Unmet) -> None:
    assert len(told(engine("20.10.24"), Answer("2.5.0\n"))) == 2


def test_an_engine_that_does_not_run(told: Unmet) -> None:
    said = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n"
    assert told(without_engine(said)) == ["Docker does not run. Start it: sudo systemctl start docker"]


def test_a_user_who_may_not(told: Unmet) -> None:
    said = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: …\n"
    (line,) = told(without_engine(said))
    assert line.startswith("this user may not use Docker. Let it: sudo usermod -aG docker")


def test_an_answer_that_is_none(told: Unmet) -> None:
    assert told(Answer("flock of geese")) == ["Docker does not answer: flock of geese"]
    assert told(engine("newest")) == ["Docker Engine says that its version is 'newest', which is not understood"]


def test_no_docker_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (line,) = unmet(LocalHost(), True)
    assert line.startswith("there is no Docker on this machine; install Docker Engine and Compose: https://")


def test_an_engine_before_25_reads_a_second_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    services = json.dumps({"services": {"api": {"image": "r/api"}}})
    project = f"compose --project-name sfp-acme --project-directory {tmp_path}"
    files = f"{project} --file {tmp_path}/compose.yml --file {tmp_path}/compose.engine-24.yml"
    answers = {
        "version": engine("24.0.7"),
        "compose version": Answer("2.21.0\n"),
        f"{files} --profile * config": Answer(services),
    }
    monkeypatch.setenv("PATH", str(recorded_docker.write(tmp_path, answers)), prepend=os.pathsep)
    check = "services:\n  api:\n    healthcheck: {start_interval: 1s}\n"
    (tmp_path / "compose.yml").write_text(f"name: sfp-acme\n{check}")
    assert "too old" in ComposeEngine(LocalHost()).problems(str(tmp_path))[0]
    (tmp_path / "compose.engine-24.yml").write_text("services: {}\n")
    assert ComposeEngine(LocalHost()).problems(str(tmp_path)) == []
