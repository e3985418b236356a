"""The queue put together, for the programs that work with it: the API and the dispatchers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from sfp_server.server.db import Database
from sfp_server.server.tasks.doorbell import Doorbell
from sfp_server.server.tasks.service import Tasks
from sfp_server.server.tasks.store import Store
from sfp_server.server.tasks.submission import Defaults
from sfp_server.server.worker.types import TYPES


@asynccontextmanager
async def open_tasks(database: Database, redis: Redis, defaults: Defaults) -> AsyncIterator[Tasks]:
    """The queue of this database, listening to the doorbell of this Redis for the length of a block."""
    async with Doorbell(redis).listening() as bell:
        yield Tasks(Store(database), bell, TYPES, defaults)
