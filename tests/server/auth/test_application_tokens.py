"""Application tokens over HTTP, down to the database."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import httpx
import pytest

from sfp_server.server.auth import token
from sfp_server.server.services import Services
from tests.server.conftest import OWNER_TOKEN, FreshDatabase

pytestmark = pytest.mark.anyio

PATH = "application-tokens"


async def _make(client: httpx.AsyncClient, owner: Mapping[str, str], **body: object) -> dict[str, str]:
    answer = await client.post(PATH, headers=owner, json={"name": "ci"} | body)
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


def _bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def test_a_token_is_made_used_listed_and_revoked(client: httpx.AsyncClient, owner: Mapping[str, str]) -> None:
    made = await _make(client, owner, role="owner")
    assert token.is_token(made["token"])
    ends = datetime.fromisoformat(made["expiresAt"]) - datetime.fromisoformat(made["createdAt"])
    assert ends == timedelta(days=30)
    listed = (await client.get(PATH, headers=_bearer(made["token"]))).json()
    assert [item["name"] for item in listed["items"]] == ["ci", "owner"]
    assert "hash" not in str(listed)
    assert made["token"] not in str(listed)
    assert (await client.delete(f"{PATH}/{made['id']}", headers=owner)).status_code == 204
    refused = await client.get(PATH, headers=_bearer(made["token"]))
    assert refused.status_code == 401
    assert "revoked" in refused.json()["detail"]


async def test_revoking_again_changes_nothing_and_an_unknown_one_is_not_found(
    client: httpx.AsyncClient, owner: Mapping[str, str]
) -> None:
    made = await _make(client, owner)
    for _ in range(2):
        assert (await client.delete(f"{PATH}/{made['id']}", headers=owner)).status_code == 204
    for unknown in ("0192f4a1-0000-7000-8000-000000000000", "x", OWNER_TOKEN):
        assert (await client.delete(f"{PATH}/{unknown}", headers=owner)).status_code == 404


@pytest.mark.parametrize("name", ["", "a\0b", "\x1b[31mred", "two\nlines"])
async def test_a_name_is_one_line_of_text(client: httpx.AsyncClient, owner: Mapping[str, str], name: str) -> None:
    assert (await client.post(PATH, headers=owner, json={"name": name})).status_code == 422


async def test_the_last_owner_token_stays(
    client: httpx.AsyncClient, owner: Mapping[str, str], fresh_database: FreshDatabase
) -> None:
    own = fresh_database.sql("SELECT id FROM sfp.application_token WHERE role = 'owner'")
    answer = await client.delete(f"{PATH}/{own}", headers=owner)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:sfp:problem:last-owner-token")


@pytest.mark.parametrize("role", ["member", "application"])
async def test_only_an_owner_manages_tokens(
    client: httpx.AsyncClient, owner: Mapping[str, str], fresh_database: FreshDatabase, role: str
) -> None:
    made = await _make(client, owner, role=role)
    answer = await client.post(PATH, headers=_bearer(made["token"]), json={"name": "more"})
    assert answer.status_code == 403
    denied = fresh_database.sql("SELECT actor, data->>'permission' FROM sfp.event WHERE outcome = 'denied'")
    assert denied == f"{made['id']}|token:manage"


async def test_an_expired_token_is_refused(
    client: httpx.AsyncClient, owner: Mapping[str, str], fresh_database: FreshDatabase
) -> None:
    made = await _make(client, owner)
    fresh_database.sql(f"UPDATE sfp.application_token SET expires_at = now() WHERE id = '{made['id']}'")
    answer = await client.get(PATH, headers=_bearer(made["token"]))
    assert answer.status_code == 401
    assert "expired" in answer.json()["detail"]


@pytest.mark.parametrize("credential", ["Bearer nonsense", "Basic dTpw", f"Bearer {OWNER_TOKEN[:-1]}x", "Bearer", "x"])
async def test_what_is_no_token_is_refused_with_a_challenge(client: httpx.AsyncClient, credential: str) -> None:
    answer = await client.get(PATH, headers={"Authorization": credential})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="sfp", error="invalid_token"'


async def test_a_wrong_checksum_is_refused_without_the_database(services: Services, client: httpx.AsyncClient) -> None:
    await services.database.close()
    answer = await client.get(PATH, headers=_bearer(OWNER_TOKEN[:-1] + "x"))
    assert answer.status_code == 401


async def test_without_a_token_the_challenge_says_only_where(client: httpx.AsyncClient) -> None:
    answer = await client.get(PATH)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="sfp"')


async def test_the_last_use_is_written_down_once_a_minute(
    client: httpx.AsyncClient, owner: Mapping[str, str], services: Services, fresh_database: FreshDatabase
) -> None:
    query = "SELECT last_used_at FROM sfp.application_token WHERE role = 'owner'"
    assert fresh_database.sql(query) == ""
    await client.get(PATH, headers=owner)
    await services.tokens.close()
    first = fresh_database.sql(query)
    await client.get(PATH, headers=owner)
    await services.tokens.close()
    assert first
    assert fresh_database.sql(query) == first


async def test_every_act_has_its_event(
    client: httpx.AsyncClient, owner: Mapping[str, str], fresh_database: FreshDatabase
) -> None:
    made = await _make(client, owner | {"X-Request-Id": "from-a-test"})
    await client.delete(f"{PATH}/{made['id']}", headers=owner)
    written = fresh_database.sql(
        "SELECT action, request_id = 'from-a-test', host(ip) FROM sfp.event"
        f" WHERE resource = 'application-token/{made['id']}' ORDER BY id"
    )
    assert written.splitlines() == [
        "application-token.create|t|192.0.2.1",
        "application-token.revoke|f|192.0.2.1",
    ]


async def test_a_list_goes_on_where_its_cursor_says(client: httpx.AsyncClient, owner: Mapping[str, str]) -> None:
    names = [f"ci-{number}" for number in range(5)]
    for name in names:
        await _make(client, owner, name=name)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(PATH, headers=owner, params=query)).json()
        seen += [item["name"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [*reversed(names), "owner"]
    assert (await client.get(PATH, headers=owner, params={"cursor": "no"})).status_code == 400
