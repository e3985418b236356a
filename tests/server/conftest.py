"""What tests of the server stand on: real PostgreSQL and Redis, started once; a fresh migrated database per test.

Tests are coroutines marked `pytestmark = pytest.mark.anyio`.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from litestar import Litestar

from sfp_server import __version__
from sfp_server.server import migrate
from sfp_server.server.app import create_app
from sfp_server.server.auth import token
from sfp_server.server.db import Database
from sfp_server.server.services import Services, open_services
from sfp_server.server.settings import Settings, load
from tests.server.programs import ADMIN_PASSWORD, API_PASSWORD, REDIS_PASSWORD, PostgresServer, RedisServer

CONFIG_VERSION = 1
OWNER_TOKEN = "sfp_app_" + "o" * 30 + token.checksum("o" * 30)


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
            owner_token_hash=token.digest(OWNER_TOKEN),
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


@pytest.fixture
def environment(fresh_database: FreshDatabase, redis: RedisServer, tmp_path: Path) -> Mapping[str, str]:
    """The environment of the API as the operator renders it; secrets lie in files beside it."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "database-password").write_text(API_PASSWORD)
    (secrets / "database-admin-password").write_text(ADMIN_PASSWORD)
    (secrets / "owner-token-hash").write_text(token.digest(OWNER_TOKEN))
    (secrets / "redis-password").write_text(REDIS_PASSWORD)
    (secrets / "signing-key").write_text("signing-key-of-tests")
    return {
        "SFP_TENANT": "demo",
        "SFP_VERSION": __version__,
        "SFP_CONFIG_VERSION": str(CONFIG_VERSION),
        "SFP_PUBLIC_URL": "http://sfp.test",
        "SFP_LISTEN": "127.0.0.1:0",
        "SFP_DATABASE_URL": fresh_database.api_url,
        "SFP_DATABASE_ADMIN_URL": fresh_database.admin_url,
        "SFP_REDIS_URL": redis.url,
        "SFP_OBJECTS_URL": f"file://{tmp_path}/objects",
        "SFP_SECRETS": str(secrets),
    }


@pytest.fixture
def settings(environment: Mapping[str, str]) -> Settings:
    return load(environment, "api")


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    async with open_services(settings) as opened:
        yield opened


@pytest.fixture
def app(services: Services) -> Litestar:
    return create_app(services)


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of the API without a token; `owner` gives the headers of one with."""
    async with calling(app) as caller:
        yield caller


def calling(app: Litestar, address: str = "192.0.2.1") -> httpx.AsyncClient:
    """A caller of an application, from an address."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 40_000))
    return httpx.AsyncClient(transport=transport, base_url="http://sfp.test/sfp/api")


@pytest.fixture
def owner() -> Mapping[str, str]:
    """The headers of the owner."""
    return {"Authorization": f"Bearer {OWNER_TOKEN}"}
