"""Compose's commands as they would be typed."""

from sfp_server.cmd import compose, linux
from sfp_server.cmd.base import Cmd
from sfp_server.cmd.compose import BEFORE_25, Project

PROJECT = Project("sfp-acme", "/opt/acme/releases/1")
HEAD = "docker compose --project-name sfp-acme --project-directory /opt/acme/releases/1 --file compose.yml "


def line(command: Cmd) -> str:
    return command.line().replace("--file /opt/acme/releases/1/", "--file ").removeprefix(HEAD)


def test_commands_as_they_would_be_typed() -> None:
    lines = [
        compose.config(PROJECT),
        compose.up(PROJECT, ["redis", "api-a"], 120),
        compose.up(PROJECT, ["redis"], 9, orphans=True),
        compose.stop(PROJECT, ["api-a"], 30),
        compose.take_away(PROJECT, ["redis"]),
        compose.logs(PROJECT, ["redis"], 100),
        compose.logs(PROJECT, ["redis"], 0, follow=True),
        compose.run(PROJECT, "migrate", ["--apply", "--phase", "pre"]),
    ]
    assert [line(command) for command in lines] == [
        "--profile '*' config --format json",
        "up --detach --no-build --pull never --wait --wait-timeout 120 redis api-a",
        "up --detach --no-build --pull never --wait --wait-timeout 9 --remove-orphans redis",
        "--profile '*' stop --timeout 30 api-a",
        "--profile '*' rm --stop --force redis",
        "--profile '*' logs --no-color --timestamps --tail 100 redis",
        "--profile '*' logs --no-color --timestamps --tail 0 --follow redis",
        "--progress quiet run --rm --no-deps -T migrate --apply --phase pre",
    ]


def test_the_version_needs_no_project() -> None:
    assert compose.version().line() == "docker compose version --short"


def test_an_older_engine_reads_a_second_file() -> None:
    assert line(compose.config(PROJECT.with_file(BEFORE_25))).startswith("--file compose.engine-24.yml --profile")


def test_one_at_a_time_and_not_for_ever() -> None:
    command = linux.limited(15, linux.alone("/opt/acme/releases", compose.stop(PROJECT, ["redis"], 1)))
    assert command.line().startswith("timeout --kill-after=5 15 flock --close /opt/acme/releases docker compose ")
