"""Images, by the Docker on this machine: build, push, copy, make indexes, pull, look at. Alone uses python-on-whales.

What runs on a host's Docker is not done here: the Compose engine says that as commands.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sfp_server.engine import reference
from sfp_server.engine.reference import Reference
from sfp_server.errors import SfpError

_SIGN_IN = re.compile(r"unauthorized|authentication required|no basic auth|denied", re.IGNORECASE)
_NOT_PERMITTED = re.compile(r"permission denied.*docker.*sock", re.IGNORECASE | re.DOTALL)
_NO_ENGINE = re.compile(r"cannot connect to the docker daemon|is the docker daemon running", re.IGNORECASE)
_NOT_THERE = re.compile(r"not found|manifest unknown|no such image", re.IGNORECASE)
_UNREACHABLE = re.compile(r"connection refused|no such host|i/o timeout|network is unreachable", re.IGNORECASE)
_NOISE = re.compile(r"-{3,}|\s*|#\d+ .*|.*DEPRECATED.*")  # around the one line that says why a build failed


@dataclass(frozen=True)
class Build:
    """One target of a Dockerfile. `arguments` are public: they stand in the image's history."""

    context: Path
    file: Path
    target: str
    arguments: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    network: str = ""


@dataclass(frozen=True)
class Local:
    """An image of this machine's Docker. What `id` is a digest of differs between its stores; `pinned` are the
    references by digest under which it was pulled or pushed."""

    id: str
    pinned: frozenset[Reference]
    platform: str
    labels: Mapping[str, str]


class Images:
    """The Docker that the `docker` command reaches. `say` gets each line that a long command writes."""

    def __init__(self, say: Callable[[str], None] = lambda line: None) -> None:
        self._say = say

    def build(self, build: Build, platform: str, tag: Reference) -> None:
        """Build one target for one platform and push it under a tag: no provenance, so that the same source gives the
        same manifest."""
        with _told(f"{build.target} was not built") as docker:
            lines = docker.buildx.build(
                build.context,
                file=build.file,
                target=build.target,
                build_args=dict(build.arguments),
                network=build.network or None,
                platforms=[platform],
                provenance=False,
                push=True,
                tags=[str(tag)],
                progress="plain",
                stream_logs=True,
            )
            for line in lines:
                self._say(line.rstrip())

    def index(self, tag: Reference, sources: Sequence[Reference]) -> None:
        """Put an index of these images under a tag. A push alone makes a single manifest; one source that is an index
        is copied with its digest, from another registry too."""
        with _told(f"{tag} was not made") as docker:
            docker.buildx.imagetools.create([str(source) for source in sources], tags=[str(tag)])

    def push(self, image: Reference) -> None:
        """Push an image as it is here."""
        with _told(f"{image} was not pushed") as docker:
            docker.image.push(str(image), quiet=True)

    def pull(self, image: Reference) -> Local:
        """Pull, and say what came. With a digest, Docker refuses other content, and the digest has to stand in what it
        then says of the image."""
        with _told(f"{image} was not pulled") as docker:
            docker.image.pull(str(image), quiet=True)
        found = self.inspect(image)
        if image.digest and not holds(found, image):
            raise SfpError(f"{image} was pulled, but Docker knows the image by another digest.", "Pull it again.")
        return found

    def inspect(self, image: Reference) -> Local:
        """What this machine's Docker holds under a name; a pinned one is asked for as `name@digest`."""
        asked = f"{image.name}@{image.digest}" if image.digest else str(image)
        with _told(f"{image} is not on this machine") as docker:
            found = docker.image.inspect(asked)
            return _local(found)


def holds(local: Local, image: Reference) -> bool:
    """Whether the image came as this pinned reference, whatever tag it has."""
    return any((pinned.name, pinned.digest) == (image.name, image.digest) for pinned in local.pinned)


def _local(found: Any) -> Local:
    pinned = frozenset(reference.parse(text) for text in found.repo_digests or ())
    platform = "/".join(part for part in (found.os, found.architecture, found.variant) if part)
    return Local(found.id, pinned, platform.removesuffix("/v8"), dict(found.config.labels or {}))


@contextmanager
def _told(what: str) -> Iterator[Any]:
    """Docker's client; its errors in our words. Their own text holds the whole command, which may hold secrets."""
    from python_on_whales import ClientNotFoundError, DockerClient
    from python_on_whales.exceptions import DockerException

    try:
        yield DockerClient(client_call=["docker"])
    except ClientNotFoundError:
        raise SfpError(f"{what}: there is no docker command.", "Install Docker with Compose and Buildx.") from None
    except DockerException as error:
        said = error.stderr or ""
        raise SfpError(f"{what}: {_last_words(said)}.", _hint(said)) from None


def _last_words(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if not _NOISE.fullmatch(line)]
    return lines[-1].removeprefix("ERROR: ").rstrip(".") if lines else "docker said nothing"


def _hint(said: str) -> str:
    if _NOT_PERMITTED.search(said):
        return "Let this user use Docker: add it to the group docker, and sign in anew."
    hints = {
        _NO_ENGINE: "Start the Docker Engine.",
        _SIGN_IN: "Sign in to the registry: docker login",
        _UNREACHABLE: "Check the registry's address, and the way there (DNS, proxy, firewall).",
        _NOT_THERE: "Check the name, and that it was pushed.",
    }
    return next((hint for pattern, hint in hints.items() if pattern.search(said)), "")
