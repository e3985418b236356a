"""Objects in a folder, and the links under which the API serves them."""

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.exceptions import BaseError

from sfp_server.errors import SfpError
from sfp_server.server.objects import FolderLinks, Objects, open_objects
from sfp_server.server.services import Services
from tests.fakes import s3

pytestmark = pytest.mark.anyio

KEY = "tasks/1/2/a report #1 (100 %).txt"


def _folder(path: Path) -> Objects:
    return open_objects(f"file://{quote(str(path))}", "http://sfp.test", "key", "", "")


async def _read(objects: Objects, key: str, start: int = 0, end: int | None = None) -> bytes | None:
    stored = await objects.get(key, start, end)
    return None if stored is None else b"".join([chunk async for chunk in stored.chunks])


async def _chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_what_is_put_is_got(tmp_path: Path) -> None:
    objects = _folder(tmp_path / "o")
    big = b"x" * 6_000_000
    await objects.put(KEY, _chunks(b"one", big))
    assert await _read(objects, KEY) == b"one" + big
    assert await _read(objects, KEY, 1, 4) == b"nex"
    assert await objects.size(KEY) == len(big) + 3
    await objects.put(KEY, _chunks())
    assert await _read(objects, KEY) == b""
    assert await _read(objects, "tasks/1/none") is None


async def test_a_put_that_fails_leaves_what_was(tmp_path: Path) -> None:
    async def torn() -> AsyncIterator[bytes]:
        yield b"x" * 6_000_000
        raise RuntimeError("the sandbox died")

    objects = _folder(tmp_path / "o")
    await objects.put(KEY, b"before")
    with pytest.raises(RuntimeError, match="the sandbox died"):
        await objects.put(KEY, torn())
    assert await _read(objects, KEY) == b"before"
    assert len([path for path in (tmp_path / "o").rglob("*") if path.is_file()]) == 1


async def test_a_prefix_is_deleted_by_whole_segments(tmp_path: Path) -> None:
    objects = _folder(tmp_path / "o")
    for key in ("tasks/1/a", "tasks/1/2/b", "tasks/11/c"):
        await objects.put(key, b"x")
    await objects.delete_prefix("tasks/1")
    assert [await objects.size(key) for key in ("tasks/1/a", "tasks/1/2/b", "tasks/11/c")] == [None, None, 1]
    await objects.delete_prefix("tasks/1")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.sampled_from("./\\a%#\0\n~ é"), max_size=6) | st.sampled_from(["..", ".", ""]), max_size=5))
async def test_no_key_leads_out_of_the_folder(tmp_path: Path, segments: list[str]) -> None:
    folder, key = tmp_path / "out" / "objects", "/".join(segments)
    objects = _folder(folder)
    with suppress(SfpError, BaseError):  # no key, or one that the file system cannot have
        await objects.put(key, b"x")
        assert await _read(objects, key) == b"x"
    assert list((tmp_path / "out").iterdir()) == [folder]


async def test_a_bucket_keeps_what_is_put_and_gives_it_only_as_a_download() -> None:
    with s3.serving() as bucket:
        objects = open_objects(f"s3://bucket?endpoint={bucket.url}", "", "key", "access", "secret")
        await objects.put("tasks/1/a.html", b"whole")
        await objects.put("tasks/1/b.html", _chunks(b"p" * 6_000_000, b"arts"))
        assert await _read(objects, "tasks/1/a.html") == b"whole"
        assert await objects.size("tasks/1/b.html") == 6_000_004
        assert {fields["content-disposition"] for fields in bucket.fields.values()} == {"attachment"}
        assert await objects.get("tasks/1/none") is None
        await objects.check()
        await objects.delete_prefix("tasks/1")
        assert bucket.objects == {}


async def test_a_bucket_signs_for_the_public_address() -> None:
    url = "s3://bucket?endpoint=http://minio:9000&public=https://files.example.com&region=eu-central-1"
    link = urlsplit(await open_objects(url, "", "key", "access", "secret").link(KEY, 60))
    assert link.netloc == "files.example.com"
    assert link.path.startswith("/bucket/tasks/1/2/a%20report")
    assert "X-Amz-Signature=" in link.query
    assert "X-Amz-Expires=60" in link.query
    assert "secret" not in link.query


async def test_a_link_serves_the_file_as_a_download(services: Services, client: httpx.AsyncClient) -> None:
    await services.objects.put(KEY, b"0123456789")
    link = await services.objects.link(KEY, 60)
    assert link.startswith("http://sfp.test/sfp/api/files/tasks/1/2/a%20report")
    answer = await client.get(link)
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    assert answer.headers["content-length"] == "10"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (
        answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20report%20%231%20%28100%20%25%29.txt"
    )


@pytest.mark.parametrize(
    ("wanted", "status", "content", "range"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=7-99", 206, b"789", "bytes 7-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
async def test_a_part_of_a_file(
    services: Services, client: httpx.AsyncClient, wanted: str, status: int, content: bytes | None, range: str | None
) -> None:
    await services.objects.put(KEY, b"0123456789")
    answer = await client.get(await services.objects.link(KEY, 60), headers={"Range": wanted})
    assert (answer.status_code, answer.headers.get("content-range")) == (status, range)
    assert content is None or (answer.content, answer.headers["content-length"]) == (content, str(len(content)))


async def test_a_link_that_was_changed_or_has_ended_does_not_hold(
    services: Services, client: httpx.AsyncClient
) -> None:
    await services.objects.put("a/b", b"x")
    await services.objects.put("a/c", b"y")
    link = await services.objects.link("a/b", 60)
    for other in (link.replace("a/b", "a/c"), link.replace("expires=1", "expires=2"), link[:-1] + "!", link + "é"):
        assert (await client.get(other)).json()["type"] == "urn:sfp:problem:link-invalid"
    assert (await client.get(await services.objects.link("a/b", -1))).status_code == 403
    assert (await client.get(link.partition("?")[0])).status_code == 400
    assert (await client.get(await services.objects.link("a/none", 60))).status_code == 404


def test_a_link_ends_when_it_says() -> None:
    links = FolderLinks("http://x", "key", lambda: 1000.0)
    assert links.holds("a", 1001, links.sign("a", 1001))
    assert not links.holds("a", 1000, links.sign("a", 1000))
    assert not FolderLinks("http://x", "other").holds("a", int(time.time()) + 9, links.sign("a", int(time.time()) + 9))
