"""A queue on a real PostgreSQL, without Redis unless a test asks for it."""

from collections.abc import AsyncIterator

import pytest

from tests.server.conftest import FreshDatabase
from tests.server.tasks.harness import Queue, opened


@pytest.fixture
async def queue(fresh_database: FreshDatabase) -> AsyncIterator[Queue]:
    """A queue with one slot a class, in a database of the test's own."""
    async with opened(fresh_database) as queue:
        yield queue
