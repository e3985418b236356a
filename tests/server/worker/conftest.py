"""Launchers for tests: as strict as this machine allows, and plain."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.worker.stand import Stand, standing


@pytest.fixture(params=["strict", "plain"])
async def stand(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stand]:
    """A launcher of either kind: what it promises holds for both."""
    async with standing(tmp_path, plain=request.param == "plain") as stand:
        yield stand


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Stand]:
    """A launcher whose sandboxes have namespaces of their own."""
    async with standing(tmp_path) as stand:
        if stand.isolation == "plain":
            pytest.skip("bubblewrap is missing or not allowed here")
        yield stand
