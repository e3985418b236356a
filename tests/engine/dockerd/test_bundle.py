"""A bundle's services from what Compose made of its file."""

import json
from typing import Any

import pytest

from sfp_server.cmd.compose import Project
from sfp_server.engine.dockerd import bundle as bundles
from sfp_server.engine.dockerd.bundle import Bundle
from sfp_server.errors import SfpError

TEXT = """\
# The services of acme.

name: sfp-acme

services:
  # The truth.
  postgres:
    image: r/postgres:16
    labels:
      redis: not a service

  redis: {image: r/redis:7}

  "migrate":
    profiles: [job]
  api-a:
    depends_on:
      worker-a: {condition: service_healthy}
  api-b: {}
  worker-a: {}
  worker:
    image: r/worker

networks:
  data: {}
"""

SERVICES: dict[str, Any] = {
    "api-a": {
        "image": "r/api:1@sha256:ab",
        "profiles": ["api-a"],
        "command": ["api", "$$HOME"],
        "depends_on": {"postgres": {"condition": "service_healthy"}, "redis": {"condition": "service_healthy"}},
        "stop_grace_period": "1m30s",
    },
    "api-b": {"image": "r/api:1@sha256:ab", "profiles": ["api-b"]},
    "migrate": {"image": "r/api:1@sha256:ab", "profiles": ["job"], "command": None},
    "postgres": {"image": "r/postgres:16"},
    "redis": {"image": "r/redis:7"},
    "worker": {
        "image": "r/worker",
        "depends_on": {"api-a": {"required": False}, "api-b": {"required": False}, "worker-a": {}},
    },
    "worker-a": {"image": "r/worker"},
}
PROJECT = Project("sfp-acme", "/x")


def bundle() -> Bundle:
    return bundles.parse(PROJECT, TEXT, json.dumps({"name": "sfp-acme", "services": SERVICES}))


def test_services_stand_in_the_order_of_the_file() -> None:
    assert [part.key for part in bundle().parts] == [
        "postgres", "redis", "migrate", "api-a", "api-b", "worker-a", "worker",
    ]  # fmt: skip


def test_two_slots_are_one_service_and_a_name_like_one_is_none() -> None:
    assert {name: [part.slot for part in parts] for name, parts in bundle().by_name().items()} == {
        "postgres": [""], "redis": [""], "api": ["a", "b"], "worker-a": [""], "worker": [""],
    }  # fmt: skip


def test_a_job_is_none_of_the_services() -> None:
    assert "migrate" not in bundle().by_name()
    assert bundle().named("migrate")[0].command == ()
    with pytest.raises(SfpError, match="migrate is a job"):
        bundle().chosen(["migrate"])


def test_what_is_known_of_a_service() -> None:
    (api,) = bundle().chosen(["api-a"])
    assert (api.name, api.grace, api.command) == ("api", 90, ("api", "$HOME"))


def test_images_are_named_once() -> None:
    assert bundle().images == ["r/postgres:16", "r/redis:7", "r/api:1@sha256:ab", "r/worker"]


def test_a_service_is_chosen_by_what_people_call_it() -> None:
    assert [part.key for part in bundle().chosen(["redis", "api"])] == ["redis", "api-a", "api-b"]
    assert len(bundle().chosen([])) == 6


def test_an_unknown_one_is_named_with_those_there_are() -> None:
    with pytest.raises(SfpError, match="there is no service apo in /x") as caught:
        bundle().chosen(["apo"])
    assert caught.value.hint == "There are: postgres, redis, migrate, api, worker-a, worker"


def test_each_comes_after_what_it_depends_on() -> None:
    assert [part.key for part in bundle().in_order(bundle().chosen(["worker"]))] == [
        "postgres", "redis", "api-a", "api-b", "worker-a", "worker",
    ]  # fmt: skip


@pytest.mark.parametrize("line", ["name: sfp-acme", "name: 'sfp-acme'", 'name:  "sfp-acme" '])
def test_the_project_is_named_in_the_file(line: str) -> None:
    assert bundles.project_of("/x", f"# head\n{line}\nservices:\n  name: {{}}\n").name == "sfp-acme"


def test_a_file_without_a_project_is_refused() -> None:
    with pytest.raises(SfpError, match="names no project"):
        bundles.project_of("/x", "services:\n  name: {}\n")


def test_no_service_at_all() -> None:
    assert bundles.parse(PROJECT, "name: x\n", '{"name": "x", "services": null}').parts == ()


def test_one_that_is_not_written_yet_has_what_it_is_asked_for() -> None:
    dry = bundles.unwritten("/opt/tenants/acme/releases/1")
    assert dry.project == Project("sfp-acme", "/opt/tenants/acme/releases/1")
    assert [part.key for part in dry.chosen(["postgres"])] == ["postgres"]
    assert dry.named("migrate")[0].key == "migrate"
