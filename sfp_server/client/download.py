"""A task's files, brought here: whole, as their hash says, and nowhere but in the folder that was named."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import urljoin

import httpx

from sfp_server.client.model import ResultFile
from sfp_server.client.problems import reaching, refuse
from sfp_server.errors import SfpError

_AGAIN = "Ask for it again: sfp server task result ID --output DIR"


def save(file: ResultFile, folder: Path, *, base: str = "", transport: httpx.BaseTransport | None = None) -> Path:
    """Bring a file into `folder` (made where it is missing) under its name, and return its path.

    A file that is there already is replaced at once, by a whole one. The address is signed, so it is asked without a
    token: none reaches the object store. `base` completes an address without a host.
    """
    target = destination(file.name, folder)
    with _whole(target) as out:
        digest = _fetch(urljoin(base, file.url), out, transport)
        if digest != file.sha256:
            raise SfpError(f"{file.name} arrived damaged: its SHA-256 is {digest}, not {file.sha256}.", _AGAIN)
    return target


def destination(name: str, folder: Path) -> Path:
    """Where a file of this name belongs; a name that leads out of the folder, or through a link, is refused."""
    path = PurePosixPath(name)
    strange = not name or "\\" in name or not name.isprintable() or path.is_absolute()
    if strange or any(part in ("..", ".", "") for part in name.split("/")):
        raise SfpError(f"the name of a file is not safe to use: {name!r}.", "Nothing was written for it.")
    target = folder.joinpath(*path.parts)
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise SfpError(f"{name!r} leads out of {folder} by a link.", "Use an empty folder.")
    return target


@contextmanager
def _whole(target: Path) -> Iterator[BinaryIO]:
    """A file that takes its name only when all of it is written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as out:
            yield out
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _fetch(url: str, out: BinaryIO, transport: httpx.BaseTransport | None) -> str:
    digest = sha256()
    host = httpx.URL(url).host or url
    with reaching(host), httpx.Client(transport=transport, timeout=60) as http, http.stream("GET", url) as response:
        if not response.is_success:
            response.read()
        refuse(response)
        for chunk in response.iter_bytes():
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest()
