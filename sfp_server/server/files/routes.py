"""Serve a file of the folder store to whoever holds a link that we signed. Always as a download, never as a page."""

import re
from typing import Annotated
from urllib.parse import quote

from litestar import Controller, get
from litestar.params import FromPath, FromQuery, HeaderParameter
from litestar.response import Stream

from sfp_server.server import problems
from sfp_server.server.http.given import TheServices
from sfp_server.server.objects import Stored
from sfp_server.server.problems import Problem

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Files(Controller):
    """Signed links to files."""

    path = "/files"
    tags = ("files",)
    opt = {"public": True}  # noqa: RUF012  the framework declares it so; the signature is the permission

    @get(
        "/{key:path}",
        operation_id="getFile",
        summary="A file, at a link that a result named",
        media_type="application/octet-stream",
    )
    async def file(
        self,
        services: TheServices,
        key: FromPath[str],
        expires: FromQuery[int],
        signature: FromQuery[str],
        wanted: Annotated[str | None, HeaderParameter(name="Range")] = None,
    ) -> Stream:
        key = str(key).lstrip("/")
        if services.folder_links is None or not services.folder_links.holds(key, expires, signature):
            raise Problem(
                403,
                "link-invalid",
                "The link does not hold",
                "it has ended, or it was changed; ask for the result again",
            )
        size = await services.objects.size(key)
        if size is None:
            raise problems.not_found("such file")
        start, end = _span(wanted, size)
        stored = await services.objects.get(key, start, end)
        if stored is None:
            raise problems.not_found("such file")
        return _download(key, stored)


def _span(wanted: str | None, size: int) -> tuple[int, int | None]:
    """The one range that was asked for (RFC 9110, section 14); anything else means all of it."""
    match = _RANGE.fullmatch(wanted or "")
    if not match or size == 0:
        return 0, None
    start = int(match[1])
    end = min(int(match[2]) + 1, size) if match[2] else size
    if start >= end:
        headers = {"Content-Range": f"bytes */{size}"}
        raise Problem(416, "range-not-satisfiable", "No such range", f"the file has {size} bytes", headers=headers)
    return start, end


def _download(key: str, stored: Stored) -> Stream:
    name = quote(key.rpartition("/")[2], safe="")
    headers = {
        "Content-Length": str(stored.end - stored.start),
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Accept-Ranges": "bytes",
    }
    part = stored.end - stored.start < stored.size
    if part:
        headers["Content-Range"] = f"bytes {stored.start}-{stored.end - 1}/{stored.size}"
    status = 206 if part else 200
    return Stream(stored.chunks, headers=headers, status_code=status, media_type="application/octet-stream")
