"""Launchers for tests: as strict as this machine allows, plain, and in Docker, where there is an engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.machinery.base import base
from tests.e2e.machinery.docker import PREFIX, build, inspect, require
from tests.e2e.machinery.standins import stand_in
from tests.server.worker.stand import Stand, standing, standing_in_docker

_DOCKER = pytest.param("docker", marks=pytest.mark.e2e)


@pytest.fixture(scope="session")
def worker_image() -> str:
    """The image of the sandboxes, of this checkout, by its digest. What did not change is not built again."""
    require()
    node = stand_in(base(), "node")
    top = Path(__file__).parents[3]
    build(top, "worker", f"{PREFIX}worker", f"--build-arg=NODE={node}", f"--file={top / 'compose/Dockerfile'}")
    return str(inspect("image", f"{PREFIX}worker")["Id"])


@pytest.fixture(params=["strict", "plain", _DOCKER])
async def stand(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stand]:
    """A launcher of either kind: what it promises holds for all."""
    if request.param == "docker":
        async with standing_in_docker(tmp_path, request.getfixturevalue("worker_image")) as stand:
            yield stand
    else:
        async with standing(tmp_path, plain=request.param == "plain") as stand:
            yield stand


@pytest.fixture(params=["bubblewrap", _DOCKER])
async def strict(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stand]:
    """A launcher whose sandboxes have namespaces of their own."""
    if request.param == "docker":
        async with standing_in_docker(tmp_path, request.getfixturevalue("worker_image")) as stand:
            yield stand
        return
    async with standing(tmp_path) as stand:
        if stand.isolation == "plain":
            pytest.skip("bubblewrap is missing or not allowed here")
        yield stand
