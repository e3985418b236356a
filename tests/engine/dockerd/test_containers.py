"""What people are told of a service, from containers as Docker inspects them."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sfp_server.cmd.compose import Project
from sfp_server.engine.base import Service
from sfp_server.engine.dockerd import bundle as bundles
from sfp_server.engine.dockerd import containers
from sfp_server.engine.dockerd.bundle import Part
from sfp_server.engine.dockerd.containers import Container

NOW = 1_700_000_100.0
STARTED = "2023-11-14T22:13:20.123456789Z"  # 1,700,000,000


def inspected(state: dict[str, Any], key: str = "api", policy: str = "unless-stopped", **labels: str) -> dict[str, Any]:
    told = {"Status": "running", "ExitCode": 0, "StartedAt": STARTED, "Error": "", **state}
    own = {"com.docker.compose.service": key, "com.docker.compose.oneoff": "False", **labels}
    return {
        "Id": f"{key}-id", "Image": "sha256:ab", "RestartCount": 2, "State": told,
        "Config": {"Image": "r/api:1@sha256:cd", "Labels": own}, "HostConfig": {"RestartPolicy": {"Name": policy}},
    }  # fmt: skip


def container(state: dict[str, Any], key: str = "api", policy: str = "unless-stopped") -> Container:
    return containers.parse(json.dumps([inspected(state, key, policy)]))[0]


def parts(*keys: str) -> list[Part]:
    services = {key: {"image": "r/api:1@sha256:new"} for key in keys}
    return list(bundles.parse(Project("sfp-acme", "/x"), "", json.dumps({"services": services})).parts)


def row(state: dict[str, Any], policy: str = "unless-stopped") -> Service:
    return containers.service("api", parts("api"), [container(state, policy=policy)], NOW)


def health(status: str, *said: str) -> dict[str, Any]:
    return {"Health": {"Status": status, "Log": [{"Output": text} for text in said]}}


def test_it_runs() -> None:
    assert row(health("healthy", "ok\n")) == Service("api", "running", "healthy", "r/api:1@sha256:cd", uptime=100)


@pytest.mark.parametrize("state", [{}, {"Health": None}, {"Health": {"Status": "none"}}, {"Health": {"Status": ""}}])
def test_no_check_is_none(state: dict[str, Any]) -> None:
    assert row(state).health == "none"


def test_a_check_that_fails_says_why() -> None:
    told = row(health("unhealthy", "earlier", "warning\nGET /health: 503\n"))
    assert (told.state, told.health, told.detail) == ("running", "unhealthy", "its check says: GET /health: 503")


def test_one_that_ends_again_and_again() -> None:
    told = row({"Status": "restarting", "ExitCode": 3, **health("unhealthy")})
    assert (told.state, told.health, told.uptime, told.detail) == ("starting", "none", 0, "ended with code 3")


def test_one_that_was_stopped_is_absent_and_shows_what_would_run() -> None:
    assert row({"Status": "exited", "ExitCode": 143}) == Service("api", "absent", "none", "r/api:1@sha256:new")


def test_one_that_ended_by_itself_is_exited() -> None:
    told = row({"Status": "exited", "ExitCode": 137, "OOMKilled": True}, policy="no")
    assert (told.state, told.detail) == ("exited", "ended with code 137, for want of memory")


def test_one_that_docker_could_not_start() -> None:
    told = row({"Status": "created", "Error": "port is taken", "StartedAt": "0001-01-01T00:00:00Z"})
    assert (told.state, told.detail) == ("exited", "port is taken")


def test_one_that_waits_for_others_is_absent_still() -> None:
    assert row({"Status": "created", "StartedAt": "0001-01-01T00:00:00Z"}).state == "absent"


def test_no_container_at_all() -> None:
    assert containers.service("api", parts("api"), [], NOW).state == "absent"


def test_containers_of_run_are_none_of_the_service() -> None:
    assert containers.parse(json.dumps([inspected({}, **{"com.docker.compose.oneoff": "True"})])) == []
    assert containers.parse("") == []


BOTH = parts("api-a", "api-b")


def test_a_slot_that_runs_is_said() -> None:
    told = containers.service("api", BOTH, [container({}, "api-b"), container({"Status": "exited"}, "api-a")], NOW)
    assert (told.name, told.state, told.replicas, told.detail) == ("api", "running", 1, "(b)")


def test_while_a_switch_is_made_both_run() -> None:
    both = [container(health("healthy"), "api-a"), container(health("starting"), "api-b")]
    told = containers.service("api", BOTH, both, NOW)
    assert (told.health, told.replicas, told.detail) == ("healthy", 2, "(a), (b)")


def test_what_is_wrong_with_a_slot() -> None:
    told = containers.service("api", BOTH, [container(health("unhealthy", "no answer"), "api-a")], NOW)
    assert told.detail == "(a) its check says: no answer"


def test_who_serves() -> None:
    a, b = container({}, "api-a"), container({}, "api-b")
    ended = replace(b, status="exited")
    older = replace(ended, started=1)

    def served(*there: Container, named: str = "") -> str:
        return containers.serving(BOTH, there, {named})[0].key

    assert served() == "api-a"
    assert served(replace(a, status="exited"), b) == "api-b"
    assert served(ended) == "api-b"
    assert served(replace(a, status="exited"), older) == "api-a"
    assert served(a, ended, named="api-b") == "api-b"
    assert served(named="api-b") == "api-b"


def test_use_is_that_of_all_its_containers() -> None:
    used = {"1": {"CPUPerc": "50.5%", "MemUsage": "1.5MiB / 7GiB"}, "2": {"CPUPerc": "1%", "MemUsage": "1KiB / 7GiB"}}
    told = containers.with_use(Service("api", "running", "healthy", "i"), ["1", "2", "gone"], used)
    assert (told.cpu, told.memory) == (0.515, 1_573_888)
    assert containers.with_use(told, [], used) == told
