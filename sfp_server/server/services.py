"""The composition root: everything that the API works with is made here, once, from the settings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sfp_server.server import versions
from sfp_server.server.auth.service import Tokens
from sfp_server.server.auth.store import Store as TokenStore
from sfp_server.server.db import Database
from sfp_server.server.health.service import Health
from sfp_server.server.http.limiter import Limiter
from sfp_server.server.objects import FolderLinks, Objects, open_objects
from sfp_server.server.settings import Settings
from sfp_server.server.tasks.opening import open_tasks
from sfp_server.server.tasks.service import Tasks
from sfp_server.server.tasks.submission import Defaults

POOL_SIZE = 10


@dataclass(frozen=True)
class Services:
    """What routes work with. `stopping` is set when the server was asked to end: whoever holds a connection open (a
    stream of events) lets go of it then."""

    settings: Settings
    database: Database
    redis: Redis
    objects: Objects
    folder_links: FolderLinks | None
    tokens: Tokens
    limiter: Limiter
    health: Health
    tasks: Tasks
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Everything, open; closed again at the end, in the opposite order. Nothing is asked yet: that the database or
    Redis is away is no reason not to start."""
    async with AsyncExitStack() as stack:
        database = await Database.open(settings.database_url, settings.secret("database-password"), POOL_SIZE)
        stack.push_async_callback(database.close)
        redis = open_redis(settings)
        stack.push_async_callback(redis.aclose)
        tokens = Tokens(database, TokenStore(database))
        stack.push_async_callback(tokens.close)
        objects = objects_of(settings)
        tasks = await stack.enter_async_context(open_tasks(database, redis, defaults_of(settings)))
        yield Services(
            settings=settings,
            database=database,
            redis=redis,
            objects=objects,
            folder_links=_folder_links(settings),
            tokens=tokens,
            limiter=Limiter(redis),
            health=_health(database, redis, objects, tasks),
            tasks=tasks,
        )


def open_redis(settings: Settings) -> Redis:
    """A client that gives up soon: nothing that is in Redis is worth waiting for."""
    client: Redis = Redis.from_url(
        settings.redis_url,
        password=settings.optional_secret("redis-password") or None,
        socket_connect_timeout=0.5,
        socket_timeout=0.5,
        retry=Retry(NoBackoff(), 1),
    )
    return client


def objects_of(settings: Settings) -> Objects:
    """The object store of the settings."""
    return open_objects(
        settings.objects_url,
        settings.public_url,
        settings.secret("signing-key"),
        settings.optional_secret("object-store-access-key"),
        settings.optional_secret("object-store-secret-key"),
    )


def _folder_links(settings: Settings) -> FolderLinks | None:
    if not settings.objects_url.startswith("file:"):
        return None
    return FolderLinks(settings.public_url, settings.secret("signing-key"))


def defaults_of(settings: Settings) -> Defaults:
    """What a task gets that does not say."""
    return Defaults(settings.task_attempts, settings.task_timeout)


def _health(database: Database, redis: Redis, objects: Objects, tasks: Tasks) -> Health:
    async def redis_answers() -> object:
        return await redis.ping()

    return Health(
        schema_version=lambda: versions.schema_version(database),
        others={"redis": redis_answers, "objects": objects.check},
        queue=tasks.queue,
    )
