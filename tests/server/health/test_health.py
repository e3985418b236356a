"""Health, and what refuses to start."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import httpx
import pytest

from sfp_server import __version__
from sfp_server.errors import SfpError
from sfp_server.server import versions
from sfp_server.server.app import create_app
from sfp_server.server.auth.service import Tokens
from sfp_server.server.auth.store import Store as TokenStore
from sfp_server.server.db import Database
from sfp_server.server.migrations import packaged
from sfp_server.server.principal import Principal
from sfp_server.server.services import Services
from sfp_server.server.settings import Settings
from tests.server.conftest import FreshDatabase, calling

pytestmark = pytest.mark.anyio


async def test_all_is_well(client: httpx.AsyncClient) -> None:
    answer = await client.get("health")
    body = answer.json()
    assert (answer.status_code, body["status"], body["version"]) == (200, "healthy", __version__)
    assert body["versions"] == {"release": __version__, "configuration": 1, "schema": len(packaged())}
    assert {(check["name"], check["status"]) for check in body["checks"]} == {
        ("database", "ok"),
        ("redis", "ok"),
        ("objects", "ok"),
    }
    assert body["queue"] is None


async def test_without_redis_it_is_degraded(services: Services) -> None:
    async def away() -> object:
        raise ConnectionError("gone")

    lame = replace(services, health=replace(services.health, others={"redis": away}))
    async with calling(create_app(lame)) as client:
        answer = await client.get("health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")


async def test_without_the_database_it_is_unhealthy(services: Services, fresh_database: FreshDatabase) -> None:
    nowhere = replace(fresh_database.server, folder=fresh_database.server.folder / "nowhere")
    async with replace(fresh_database, server=nowhere).open(patience=0.1) as away:
        lame = replace(services, health=replace(services.health, schema_version=lambda: versions.schema_version(away)))
        async with calling(create_app(lame)) as client:
            answer = await client.get("health")
    assert (answer.status_code, answer.json()["status"]) == (503, "unhealthy")


async def test_without_the_database_routes_are_unavailable(
    services: Services, fresh_database: FreshDatabase, owner: Mapping[str, str]
) -> None:
    nowhere = replace(fresh_database.server, folder=fresh_database.server.folder / "nowhere")
    async with replace(fresh_database, server=nowhere).open(patience=0.1) as away:
        lame = replace(services, tokens=Tokens(away, TokenStore(away)))
        async with calling(create_app(lame)) as client:
            answer = await client.get("application-tokens", headers=owner)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:sfp:problem:unavailable")
    assert answer.headers["retry-after"]


@dataclass(frozen=True)
class _Lane:
    name: str
    pending: int
    active: int
    oldest: float | None
    slots: int


async def test_the_queue_is_shown_to_those_who_may_see_it(services: Services, owner: Mapping[str, str]) -> None:
    async def queue(principal: Principal) -> list[_Lane]:
        return [_Lane("critical", 0, 1, None, 2)]

    async with calling(create_app(replace(services, health=replace(services.health, queue=queue)))) as client:
        assert (await client.get("health")).json()["queue"] is None
        seen = (await client.get("health", headers=owner)).json()["queue"]
    assert seen == [{"workerClass": "critical", "pending": 0, "active": 1, "slots": 2, "oldestSeconds": None}]


async def test_what_belongs_together_may_start(database: Database, settings: Settings) -> None:
    await versions.check(database, settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE sfp.release_state SET release = '9.9'", "the database belongs to release 9.9"),
        ("UPDATE sfp.release_state SET config_version = 7", "configuration version 7"),
        ("DELETE FROM sfp.release_state", "does not say which release"),
        ("DELETE FROM sfp.migration WHERE number = 1", "is older than this release: 0001_pre_base"),
        ("UPDATE sfp.migration SET checksum = 'x' WHERE number = 1", "0001_pre_base was edited"),
        (
            "INSERT INTO sfp.migration VALUES (999, '0999_pre_x', 'pre', 'x', false, '9', now(), 0)",
            "newer than this release: 0999 ",
        ),
        ("DROP SCHEMA sfp CASCADE", "no schema yet"),
    ],
)
async def test_what_does_not_is_refused(
    fresh_database: FreshDatabase, database: Database, settings: Settings, change: str, message: str
) -> None:
    fresh_database.sql(change)
    with pytest.raises(SfpError, match=message) as raised:
        await versions.check(database, settings)
    assert raised.value.hint


async def test_a_newer_schema_that_is_compatible_is_fine(
    fresh_database: FreshDatabase, database: Database, settings: Settings
) -> None:
    fresh_database.sql("INSERT INTO sfp.migration VALUES (999, '0999_pre_x', 'pre', 'x', true, '9', now(), 0)")
    await versions.check(database, settings)


async def test_a_configuration_of_another_release_is_refused(database: Database, settings: Settings) -> None:
    with pytest.raises(SfpError, match=r"was rendered for 0\.0\.1"):
        await versions.check(database, replace(settings, version="0.0.1"))
