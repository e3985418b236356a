"""What tests of the server stand on: real PostgreSQL and Redis, started once; a fresh migrated database per test.

Tests are coroutines marked `pytestmark = pytest.mark.anyio`.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace

import pytest

from sfp_server import __version__
from sfp_server.server import migrate
from sfp_server.server.db import Database
from tests.server.programs import ADMIN_PASSWORD, API_PASSWORD, PostgresServer, RedisServer

CONFIG_VERSION = 1


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The shared cluster. Tests that stop PostgreSQL create one of their own."""
    server = PostgresServer.create()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The shared Redis. Tests that stop it create one of their own."""
    server = RedisServer.create()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def redis(redis_server: RedisServer) -> RedisServer:
    """The shared Redis, emptied."""
    redis_server.command("FLUSHALL")
    return redis_server


@dataclass(frozen=True)
class FreshDatabase:
    """A database of one test: where it is, and how the API's login gets in."""

    server: PostgresServer
    name: str

    @property
    def api_url(self) -> str:
        return self.server.url("sfp_api", self.name)

    @property
    def admin_url(self) -> str:
        return self.server.url("postgres", "postgres")

    @property
    def target(self) -> migrate.Target:
        return migrate.Target(
            admin_url=self.admin_url,
            api_url=self.api_url,
            database=self.name,
            release=__version__,
            config_version=CONFIG_VERSION,
            admin_password=ADMIN_PASSWORD,
            api_password=API_PASSWORD,
        )

    def sql(self, statement: str) -> str:
        """Run one statement as the administrator, past row-level security."""
        return self.server.sql(statement, self.name)

    @contextlib.asynccontextmanager
    async def open(self, size: int = 4, patience: float = 10) -> AsyncIterator[Database]:
        """The database as the API has it."""
        database = await Database.open(self.api_url, API_PASSWORD, size, patience)
        try:
            yield database
        finally:
            await database.close()


@pytest.fixture(scope="session")
def template(postgres: PostgresServer) -> FreshDatabase:
    """A migrated database that the tests' own are copied from."""
    made = FreshDatabase(postgres, "template_of_tests")
    asyncio.run(migrate.apply(made.target))
    return made


@pytest.fixture(scope="session")
def database_numbers() -> "itertools.count[int]":
    return itertools.count(1)


@pytest.fixture
def fresh_database(template: FreshDatabase, database_numbers: "itertools.count[int]") -> Iterator[FreshDatabase]:
    """A migrated database of this test's own."""
    copy = replace(template, name=f"test_{next(database_numbers)}")
    copy.server.sql(f"CREATE DATABASE {copy.name} TEMPLATE {template.name} STRATEGY file_copy")
    yield copy
    copy.server.sql(f"DROP DATABASE {copy.name} WITH (FORCE)")


@pytest.fixture
async def database(fresh_database: FreshDatabase) -> AsyncIterator[Database]:
    """The test's own database as the API has it."""
    async with fresh_database.open() as opened:
        yield opened
