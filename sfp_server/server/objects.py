"""Files of tasks, behind one interface: an S3 bucket, or a folder whose links the API signs and serves itself."""

import hmac
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import obstore
from obstore.store import LocalStore, ObjectStore, S3Store

from sfp_server.errors import SfpError

_CHUNK = 256 * 1024
_PART = 5 * 1024 * 1024  # the least that S3 takes as a part of an upload
# What came out of a sandbox is never to be shown as a page of ours.
_AS_DOWNLOAD = MappingProxyType({"Content-Disposition": "attachment", "Content-Type": "application/octet-stream"})
_LONGEST_KEY = 1024
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\]")


@dataclass(frozen=True)
class Stored:
    """An object that is being read: the size of all of it, the part that was asked for, and its bytes."""

    size: int
    start: int
    end: int
    chunks: AsyncIterator[bytes]


class Links(Protocol):
    """How a link to an object comes to be."""

    async def link(self, key: str, ttl: float) -> str: ...


class Objects:
    """Objects by key (`tasks/<id>/<lease>/report.xml`): text in segments, none of them empty, `.` or `..`."""

    def __init__(self, store: ObjectStore, links: Links, attributes: Mapping[str, str] | None = None) -> None:
        self._store = store
        self._links = links
        self._attributes: Any = dict(attributes) if attributes else None

    async def put(self, key: str, chunks: bytes | AsyncIterable[bytes]) -> None:
        """Store an object whole or not at all; one that is there is replaced."""
        await obstore.put_async(self._store, _path(key), chunks, attributes=self._attributes, chunk_size=_PART)

    async def get(self, key: str, start: int = 0, end: int | None = None) -> Stored | None:
        """An object, or its bytes from `start` up to but not including `end`; nothing where there is none."""
        options: Any = {"range": {"offset": start} if end is None else (start, end)} if start or end else None
        try:
            found = await obstore.get_async(self._store, _path(key), options=options)
        except FileNotFoundError:
            return None
        return Stored(found.meta["size"], *found.range, _bytes_of(found))

    async def size(self, key: str) -> int | None:
        """The size of an object, or nothing where there is none."""
        try:
            return int((await obstore.head_async(self._store, _path(key)))["size"])
        except FileNotFoundError:
            return None

    async def delete_prefix(self, prefix: str) -> None:
        """Delete every object under a prefix of whole segments: `tasks/<id>`."""
        async for batch in obstore.list(self._store, _path(prefix.rstrip("/")) + "/"):
            await obstore.delete_async(self._store, [entry["path"] for entry in batch])

    async def link(self, key: str, ttl: float) -> str:
        """An address at which the object can be had without signing in, for `ttl` seconds."""
        _path(key)
        return await self._links.link(key, ttl)

    async def check(self) -> None:
        """Ask the store something; an exception where it does not answer."""
        await self.size("health/probe")


def open_objects(url: str, public_url: str, signing_key: str, access_key: str, secret_key: str) -> Objects:
    """The store at `file:///folder` or `s3://bucket?endpoint=URL&region=NAME&public=URL` (`public` is the endpoint as
    those who follow links reach it, where it is another)."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        folder = LocalStore(Path(unquote(parts.path)), mkdir=True, automatic_cleanup=True)
        return Objects(folder, FolderLinks(public_url, signing_key))
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}

    def bucket(endpoint: str | None) -> S3Store:
        return _bucket(parts.netloc, endpoint, query.get("region", "us-east-1"), access_key, secret_key)

    endpoint = query.get("endpoint")
    return Objects(bucket(endpoint), BucketLinks(bucket(query.get("public", endpoint))), _AS_DOWNLOAD)


def _bucket(name: str, endpoint: str | None, region: str, access_key: str, secret_key: str) -> S3Store:
    options: dict[str, Any] = {"client_options": {"allow_http": True}} if endpoint else {}
    if endpoint:
        options |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
    if access_key:  # none: the machine's own role
        options |= {"access_key_id": access_key, "secret_access_key": secret_key}
    return S3Store(name, region=region, **options)


class BucketLinks:
    """Links that the object store checks itself."""

    def __init__(self, store: S3Store) -> None:
        self._store = store

    async def link(self, key: str, ttl: float) -> str:
        return await obstore.sign_async(self._store, "GET", _path(key), timedelta(seconds=ttl))


class FolderLinks:
    """Links that the API checks and serves: HMAC-SHA-256 over method, key and end."""

    def __init__(self, public_url: str, signing_key: str, now: Callable[[], float] = time.time) -> None:
        self._base = f"{public_url.rstrip('/')}/sfp/api/files/"
        self._key = signing_key.encode()
        self._now = now

    async def link(self, key: str, ttl: float) -> str:
        expires = int(self._now() + ttl)
        return self._base + quote(key) + "?" + urlencode({"expires": expires, "signature": self.sign(key, expires)})

    def sign(self, key: str, expires: int) -> str:
        """The signature of a link."""
        message = f"sfp-file-v1\nGET\n{key}\n{expires}".encode()
        return urlsafe_b64encode(hmac.digest(self._key, message, "sha256")).decode().rstrip("=")

    def holds(self, key: str, expires: int, signature: str) -> bool:
        """Whether a link is ours and has not ended; its signature is compared in constant time."""
        ours = hmac.compare_digest(self.sign(key, expires).encode(), signature.encode())
        return ours and self._now() < expires


def _path(key: str) -> str:
    """The key as the store has it. `%` and `#` are written as escapes, since a folder store keeps them for itself."""
    segments = key.split("/")
    if len(key.encode()) > _LONGEST_KEY or not all(map(_fit, segments)):
        raise SfpError(f"not a key of an object: {key!r}")
    return key.replace("%", "%25").replace("#", "%23")


def _fit(segment: str) -> bool:
    return segment not in ("", ".", "..") and not _UNFIT.search(segment) and len(segment.encode()) <= 200


async def _bytes_of(found: "obstore.GetResult") -> AsyncIterator[bytes]:
    async for chunk in found.stream(min_chunk_size=_CHUNK):
        yield bytes(chunk)
