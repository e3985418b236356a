"""What stands before every route: problems, request ids, traces, limits of bodies, declared permissions."""

import io
import json
import logging
from collections.abc import Iterator, Mapping

import httpx
import pytest
from litestar import Litestar, get

from sfp_server.errors import SfpError
from sfp_server.server import app as application
from sfp_server.server import logs
from sfp_server.server.services import Services
from tests.server.conftest import OWNER_TOKEN, FreshDatabase, calling

pytestmark = pytest.mark.anyio


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What the server logs, as it would stand on standard error."""
    stream, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers, root.level
    logs.configure("info", stream)
    yield stream
    root.handlers, root.level = before, level


def _lines(logged: io.StringIO) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    return [line for line in lines if line["logger"].startswith("sfp.")]


async def _problem(answer: httpx.Response, status: int, type: str) -> dict[str, object]:
    body: dict[str, object] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, body["status"], body["type"]) == (status, status, f"urn:sfp:problem:{type}")
    assert body["requestId"] == answer.headers["x-request-id"]
    return body


async def test_ping_and_config_are_open(client: httpx.AsyncClient) -> None:
    assert (await client.get("ping")).json() == {"status": "ok"}
    assert (await client.get("")).json() == {"status": "ok"}
    assert (await client.get("config")).json()["deploymentMode"] == "selfhosted"


async def test_an_unknown_address_is_a_problem(client: httpx.AsyncClient) -> None:
    await _problem(await client.get("no/such/thing"), 404, "not-found")


async def test_a_wrong_method_is_a_problem_that_names_the_right_ones(client: httpx.AsyncClient) -> None:
    answer = await client.put("ping")
    await _problem(answer, 405, "method-not-allowed")
    assert "GET" in answer.headers["allow"]


async def test_a_body_that_is_no_json_is_a_problem(client: httpx.AsyncClient, owner: Mapping[str, str]) -> None:
    await _problem(await client.post("application-tokens", headers=owner, content=b"{"), 400, "bad-request")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": ""}, "#/name"),
        ({"name": "x", "expiresIn": 0}, "#/expiresIn"),
        ({"name": "x", "role": "king"}, "#/role"),
        ({"name": "x", "more": 1}, "#"),
        ({}, "#"),
    ],
)
async def test_a_wrong_body_is_a_problem_with_pointers(
    client: httpx.AsyncClient, owner: Mapping[str, str], body: dict[str, object], pointer: str
) -> None:
    problem = await _problem(await client.post("application-tokens", headers=owner, json=body), 422, "invalid")
    errors = problem["errors"]
    assert isinstance(errors, list)
    assert errors[0]["pointer"] == pointer
    assert errors[0]["detail"]


async def test_a_wrong_query_is_a_problem_with_its_parameter(
    client: httpx.AsyncClient, owner: Mapping[str, str]
) -> None:
    answer = await client.get("application-tokens", headers=owner, params={"limit": "many"})
    problem = await _problem(answer, 400, "invalid")
    assert [error["parameter"] for error in problem["errors"]] == ["limit"]  # type: ignore[attr-defined]


async def test_a_body_nested_too_deep_is_a_problem(client: httpx.AsyncClient, owner: Mapping[str, str]) -> None:
    for depth, status in ((90, 201), (101, 422), (50_000, 400)):
        nested = "[" * depth + "]" * depth
        headers = {**owner, "Content-Type": "application/json"}
        answer = await client.post("tasks", headers=headers, content=f'{{"type":"ping","data":{{"echo":{nested}}}}}')
        assert answer.status_code == status
        assert "deep" in answer.text or status == 201


async def test_a_body_too_large_is_a_problem(client: httpx.AsyncClient, owner: Mapping[str, str]) -> None:
    content = b'{"name": "' + b"x" * application.LARGEST_BODY + b'"}'
    await _problem(await client.post("application-tokens", headers=owner, content=content), 413, "body-too-large")


async def test_who_may_not_is_turned_away_before_the_body_is_read(client: httpx.AsyncClient) -> None:
    await _problem(await client.post("application-tokens", content=b"{"), 401, "unauthenticated")


@get("/broken", opt={"public": True})
async def broken() -> None:
    raise ValueError(f"the password is {OWNER_TOKEN}")


async def test_a_failure_tells_the_caller_nothing_and_the_log_everything_but_secrets(
    services: Services, logged: io.StringIO
) -> None:
    async with calling(application.assemble(services, [broken])) as client:
        answer = await client.get("broken")
    await _problem(answer, 500, "internal")
    assert "password" not in answer.text
    failed, request = _lines(logged)[-2:]
    assert failed["request_id"] == request["request_id"] == answer.headers["x-request-id"]
    assert "the password is sfp_app_••••" in str(failed["error"])
    assert (request["status"], request["level"]) == (500, "error")


async def test_one_line_a_request_and_never_a_token(
    client: httpx.AsyncClient, owner: Mapping[str, str], logged: io.StringIO
) -> None:
    await client.get(f"application-tokens/{OWNER_TOKEN}?signature=abc", headers=owner)
    (line,) = [line for line in _lines(logged) if line["message"] == "request"]
    assert (line["method"], line["status"], line["client"]) == ("GET", 405, "192.0.2.1")
    assert OWNER_TOKEN not in logged.getvalue()
    assert "abc" not in logged.getvalue()


@pytest.mark.parametrize(
    ("said", "kept"),
    [("192.0.2.7", "192.0.2.7"), ("fe80::1%eth0", "fe80::1"), ("192.0.2.7:4711", ""), ("unknown", "")],
)
async def test_an_address_that_is_none_hinders_no_change(
    app: Litestar, owner: Mapping[str, str], fresh_database: FreshDatabase, said: str, kept: str
) -> None:
    async with calling(app, said) as client:
        answer = await client.post("application-tokens", headers=owner, json={"name": "ci"})
    assert answer.status_code == 201
    assert fresh_database.sql("SELECT host(ip) FROM sfp.event WHERE data ->> 'name' = 'ci'") == kept


async def test_a_request_keeps_its_id_and_trace(client: httpx.AsyncClient) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    given = {"X-Request-Id": "mine-1", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    answer = await client.get("ping", headers=given)
    assert answer.headers["x-request-id"] == "mine-1"
    version, same, span, flags = answer.headers["traceparent"].split("-")
    assert (version, same, flags) == ("00", trace, "01")
    assert span != "b7ad6b7169203331"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "<script>"])
async def test_a_request_id_that_is_none_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("ping", headers={"X-Request-Id": given, "traceparent": "00-" + "0" * 32 + "-x-01"})
    assert answer.headers["x-request-id"] != given
    assert len(answer.headers["traceparent"]) == 55


@get("/undeclared")
async def undeclared() -> None:
    return None


async def test_a_route_that_declares_no_permission_cannot_be(services: Services) -> None:
    with pytest.raises(SfpError, match="GET /sfp/api/undeclared"):
        application.assemble(services, [undeclared])


async def test_the_document_describes_every_route(client: httpx.AsyncClient, app: Litestar) -> None:
    document = (await client.get("http://sfp.test/sfp/apidocs-json")).json()
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    assert {"/sfp/api/ping", "/sfp/api/health", "/sfp/api/config", "/sfp/api/application-tokens"} <= set(paths)
    create = paths["/sfp/api/application-tokens"]["post"]
    assert (create["x-permission"], create["security"]) == ("token:manage", [{"bearer": []}])
    assert set(create["responses"]) == {"201", "default"}
    assert paths["/sfp/api/ping"]["get"]["security"] == []


async def test_the_page_of_the_document_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("http://sfp.test/sfp/apidocs")
    assert page.headers["content-type"].startswith("text/html")
    assert "/sfp/api/application-tokens" in page.text
    assert "<script" not in page.text
    assert "http" not in page.text.replace("http-equiv", "")
