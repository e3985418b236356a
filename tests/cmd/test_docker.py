"""Docker's commands as they would be typed, and how its answers read."""

import pytest

from sfp_server.cmd import docker

A, B = "a" * 64, "b" * 64


def test_commands_as_they_would_be_typed() -> None:
    lines = [
        docker.version(),
        docker.pull("registry.example.com/sfp/api:1@sha256:ab"),
        docker.inspect("image", ["r/api@sha256:ab", "r/redis@sha256:cd"]),
        docker.containers("sfp.tenant=acme"),
        docker.containers("sfp.tenant=acme", running=True),
        docker.listed("volume", "sfp.tenant=acme"),
        docker.stats([A, B]),
        docker.logs(A, 10),
        docker.execute(A, ["sh", "-c", "echo $HOME"]),
        docker.stop([A], 30),
        docker.remove("container", [A]),
        docker.remove("network", ["sfp-acme_data"]),
    ]
    assert [command.line().replace(A, "A").replace(B, "B") for command in lines] == [
        "docker version --format '{{json .}}'",
        "docker pull registry.example.com/sfp/api:1@sha256:ab",
        "docker image inspect r/api@sha256:ab r/redis@sha256:cd",
        "docker ps --all --quiet --no-trunc --filter label=sfp.tenant=acme",
        "docker ps --quiet --no-trunc --filter label=sfp.tenant=acme",
        "docker volume ls --filter label=sfp.tenant=acme --format '{{.Name}}'",
        "docker stats --no-stream --no-trunc --format '{{json .}}' A B",
        "docker logs --tail 10 A",
        "docker exec A sh -c 'echo $HOME'",
        "docker stop -t 30 A",
        "docker container rm --force --volumes A",
        "docker network rm sfp-acme_data",
    ]


def test_what_only_looks_does_not_wait_for_ever() -> None:
    assert docker.version().timeout
    assert docker.inspect("container", [A]).timeout
    assert docker.pull("image").timeout is None


@pytest.mark.parametrize(
    "text", ['{"ID":"1"}\n{"ID":"2"}\n', '[{"ID":"1"},{"ID":"2"}]', '[\n  {"ID": "1"},\n  {"ID": "2"}\n]\n']
)
def test_objects_a_line_or_as_a_list(text: str) -> None:
    assert [row["ID"] for row in docker.parse(text)] == ["1", "2"]


def test_no_objects() -> None:
    assert docker.parse("") == docker.parse("[]") == []


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("512B", 512), ("1.5KiB", 1536), ("12.5MiB", 13_107_200), ("1GiB", 1 << 30), ("3kB", 3000)],
)
def test_sizes(text: str, size: int) -> None:
    assert docker.parse_size(text) == size
