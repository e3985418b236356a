"""What the rendered Caddyfile does, asked of a real Caddy: what it lets through, what it says, what it holds back."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from tests.edge.conftest import Edge, edge
from tests.edge.upstream import Upstream

CASE = "off-minio-bundled"
# A connection that is kept may be closed at the moment it is used again; that race is the client's (RFC 9112, 9.3.1).
FRESH = httpx.Limits(max_keepalive_connections=0)
Ask = Callable[[Edge, Upstream, httpx.AsyncClient], Awaitable[None]]


def asked(ask: Ask, program: str, folder: Path, case: str = CASE, store: int = 1) -> None:
    """Ask an edge with one upstream."""

    async def run() -> None:
        async with (
            Upstream("a").running() as a,
            edge(program, folder, case, a.port, store) as here,
            httpx.AsyncClient(base_url=here.url, timeout=20, limits=FRESH) as client,
        ):
            await ask(here, a, client)

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_request_reaches_the_api_with_one_address_of_its_client(caddy: str, tmp_path: Path) -> None:
    """This machine's own proxy is trusted in mode off; what it said further left is the word of nobody."""

    async def ask(here: Edge, a: Upstream, client: httpx.AsyncClient) -> None:
        claims = {"X-Forwarded-For": "198.51.100.9, 203.0.113.5", "X-Real-IP": "198.51.100.9", "Forwarded": "for=x"}
        sent = (await client.get("/sfp/api/ping?a=b", headers=claims)).json()
        assert sent["path"] == "/sfp/api/ping?a=b"
        assert sent["headers"]["x-forwarded-for"] == "203.0.113.5"
        assert not {"x-real-ip", "forwarded"} & sent["headers"].keys()
        assert sent["headers"]["host"] == here.url.removeprefix("http://")

    asked(ask, caddy, tmp_path)


def test_without_a_proxy_nobody_says_where_they_come_from(caddy: str, tmp_path: Path) -> None:
    async def ask(here: Edge, a: Upstream, client: httpx.AsyncClient) -> None:
        sent = (await client.get("/", headers={"X-Forwarded-For": "203.0.113.5"})).json()
        assert sent["headers"]["x-forwarded-for"] == "127.0.0.1"

    asked(ask, caddy, tmp_path, "proxy")


def test_an_answer_has_the_headers_that_keep_browsers_safe(caddy: str, tmp_path: Path) -> None:
    async def ask(here: Edge, a: Upstream, client: httpx.AsyncClient) -> None:
        headers = (await client.get("/")).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "SAMEORIGIN", "as the API says itself"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "server" not in headers
        assert "strict-transport-security" not in headers, "not over plain HTTP"

    asked(ask, caddy, tmp_path)


def test_events_come_one_by_one(caddy: str, tmp_path: Path) -> None:
    async def ask(here: Edge, a: Upstream, client: httpx.AsyncClient) -> None:
        async with client.stream("GET", "/events", headers={"Accept-Encoding": "gzip, zstd"}) as answer:
            assert "content-encoding" not in answer.headers
            lines = answer.aiter_lines()
            assert await anext(lines) == "data: 0", "while the upstream waits with the next one"
            a.go.set()
            assert [line async for line in lines if line] == ["data: 1"]

    asked(ask, caddy, tmp_path)


def test_a_websocket_passes_and_outlives_a_reload(caddy: str, tmp_path: Path) -> None:
    async def ask(here: Edge, a: Upstream, client: httpx.AsyncClient) -> None:
        host, port = here.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode())
        assert b"101 Switching Protocols" in await reader.readuntil(b"\r\n\r\n")
        for word in (b"one", b"two", b"six"):
            writer.write(word)
            assert await reader.readexactly(3) == word
            await here.turn_to(1)
        writer.close()

    asked(ask, caddy, tmp_path)


def test_while_no_api_serves_a_page_says_so(caddy: str, tmp_path: Path) -> None:
    async def ask(here: Edge, a: Upstream, client: httpx.AsyncClient) -> None:
        await here.turn_to(1)
        page, document = await asyncio.gather(client.get("/"), client.get("/sfp/api/health"))
        assert (page.status_code, page.headers["retry-after"]) == (503, "10")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "<h1>Down for maintenance</h1>" in page.text
        assert page.headers["cache-control"] == "no-store"
        assert (document.status_code, document.headers["retry-after"]) == (503, "10")
        assert document.headers["content-type"] == "application/problem+json"
        assert document.json()["status"] == 503
        assert document.headers["x-frame-options"] == "DENY"

    asked(ask, caddy, tmp_path)


def test_a_request_waits_for_an_api_that_comes_back(caddy: str, tmp_path: Path) -> None:
    async def ask(here: Edge, a: Upstream, client: httpx.AsyncClient) -> None:
        late = Upstream("late")
        async with late.running():
            port = late.port
        await here.turn_to(port)
        request = asyncio.create_task(client.post("/sfp/api/tasks", content=b"x" * 1000))
        done, _ = await asyncio.wait({request}, timeout=0.3)
        assert not done, "it waits"
        async with late.running(port):
            assert (await request).json()["name"] == "late"
        assert late.seen == ["POST /sfp/api/tasks"], "it was sent once"

    asked(ask, caddy, tmp_path)


def test_a_switch_loses_no_request(caddy: str, tmp_path: Path) -> None:
    async def ask(here: Edge, a: Upstream, client: httpx.AsyncClient) -> None:
        async with Upstream("b").running() as b:
            posts = [asyncio.create_task(client.post("/", content=b"x")) for _ in range(40)]
            await here.turn_to(b.port)
            later = await asyncio.gather(*(client.post("/", content=b"x") for _ in range(20)))
            assert {answer.status_code for answer in await asyncio.gather(*posts)} == {200}
            assert {answer.json()["name"] for answer in later} == {"b"}
            assert len(a.seen) + len(b.seen) == 60

    asked(ask, caddy, tmp_path)


def test_a_body_that_is_too_large_is_refused(caddy: str, tmp_path: Path) -> None:
    async def ask(here: Edge, a: Upstream, client: httpx.AsyncClient) -> None:
        answer = await client.post("/sfp/api/tasks", content=b"x" * (17 << 20))
        assert answer.status_code == 413
        assert answer.json()["detail"] == "A request may hold at most 16 MB."
        assert (await client.post("/sfp/api/tasks", content=b"x" * (15 << 20))).status_code == 200

    asked(ask, caddy, tmp_path)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/sfp-files/tasks/1/a.html?X-Amz-Signature=abc", 200),
        ("HEAD", "/sfp-files/tasks/1/a.html?X-Amz-Signature=abc", 200),
        ("GET", "/sfp-files/tasks/1/a.html", 404),
        ("GET", "/sfp-files/", 404),
        ("PUT", "/sfp-files/tasks/1/a.html?X-Amz-Signature=abc", 404),
        ("DELETE", "/sfp-files/tasks/1/a.html?X-Amz-Signature=abc", 404),
    ],
)
def test_the_store_is_reached_by_signed_links_only(
    caddy: str, tmp_path: Path, method: str, path: str, status: int
) -> None:
    async def run() -> None:
        async with (
            Upstream("store").running() as store,
            Upstream("a").running() as a,
            edge(caddy, tmp_path, CASE, a.port, store.port) as here,
            httpx.AsyncClient() as client,
        ):
            answer = await client.request(method, here.url + path)
            assert answer.status_code == status
            assert store.seen == ([f"{method} {path}"] if status == 200 else [])
            assert a.seen == []
            if status == 200:
                assert answer.headers["content-disposition"] == "attachment"
                assert answer.headers["content-security-policy"].startswith("sandbox")

    asyncio.run(asyncio.wait_for(run(), 60))


def test_no_signature_stands_in_the_log(caddy: str, tmp_path: Path) -> None:
    async def ask(here: Edge, a: Upstream, client: httpx.AsyncClient) -> None:
        headers = {"Authorization": "Bearer canary-of-the-token"}
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/sfp/api/files/cut?expires=1&signature=canary-of-the-folder", headers=headers)
        await here.turn_to(1)
        link = "/sfp-files/x?X-Amz-Signature=canary-of-the-store"
        assert (await client.get(link, headers=headers)).status_code == 503

    asked(ask, caddy, tmp_path)
    log = (tmp_path / "caddy.log").read_text()
    assert "/sfp/api/files/cut" in log
    assert "canary" not in log
