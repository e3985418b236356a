"""Whether the images on a host are those that a bundle pins, and whether they are what runs.

The two image stores of Docker give an image different ids, so what belongs to `name@digest` is asked, not computed.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sfp_server.cmd import docker
from sfp_server.engine import reference
from sfp_server.engine.dockerd.bundle import Part
from sfp_server.engine.dockerd.containers import Container
from sfp_server.engine.dockerd.refusals import PULL, refused
from sfp_server.engine.reference import Reference
from sfp_server.errors import RemoteError, SfpError
from sfp_server.host.base import Host, must

_WORTH_SAYING = re.compile(r"Pulling from|Pull complete|Already exists|^Status: ")
_TRIES_AGAIN = re.compile(r"Retrying in \d+ second")


@dataclass(frozen=True)
class Held:
    """An image of the host: its id, what it is made for, and the names by digest under which it came."""

    id: str
    architecture: str
    pinned: frozenset[tuple[str, str]]


def bring(host: Host, observed: Host, images: Sequence[str]) -> Iterator[str]:
    """Pull what is not there, and require of each that it is what its digest says and fits the host. Says how it goes
    on, a line at a time. In a dry run `host` is another than the `observed` one, and nothing comes."""
    architecture = _architecture(observed)
    for image in images:
        _require_pinned(image)
        if held(observed, [image]).get(image) is None:
            yield from _pulled(host, image)
        if host is observed:
            _require(image, held(observed, [image]).get(image), architecture)
            yield f"{image} is here"


def held(host: Host, images: Sequence[str]) -> Mapping[str, Held]:
    """Of these references, those that the host has under their digest, by the reference as it was given."""
    names = pinned(images)
    answer = host.run(docker.inspect("image", names)).stdout if names else ""
    there = [_held(row) for row in json.loads(answer or "[]")]
    found = {image: _first(there, reference.parse(image)) for image in images}
    return {image: match for image, match in found.items() if match}


def pinned(images: Sequence[str]) -> list[str]:
    """`name@digest` of each that has one: the tag is for people, and Docker may know the image by another."""
    found = (reference.parse(image) for image in images)
    return list(dict.fromkeys(f"{image.name}@{image.digest}" for image in found if image.digest))


def differences(parts: Sequence[Part], containers: Sequence[Container], images: Mapping[str, Held]) -> list[str]:
    """What runs and is not the image that the bundle pins, one line each."""
    own = {part.key: part for part in parts}
    running = [found for found in containers if found.key in own and found.status == "running"]
    told = [_difference(own[found.key], found, images) for found in running]
    return [text for text in told if text]


def _difference(part: Part, container: Container, images: Mapping[str, Held]) -> str:
    wanted = images.get(part.image)
    if wanted is None:
        return f"{part.key} cannot be verified: {part.image} is not on this machine by its digest"
    if container.image != wanted.id:
        return f"{part.key} runs {container.image[:19]} ({container.reference}), not {part.image}"
    return ""


def _pulled(host: Host, image: str) -> Iterator[str]:
    said: list[str] = []
    try:
        for line in host.stream(docker.pull(image)):
            if _WORTH_SAYING.search(line) or _is_news(line, said):
                yield line
            said.append(line)
    except RemoteError:
        raise refused("\n".join(said), image, PULL) from None


def _is_news(line: str, said: Sequence[str]) -> bool:
    """Docker counts down the seconds to its next try: the first line is enough."""
    again = bool(_TRIES_AGAIN.search(line))
    return again and not (said and _TRIES_AGAIN.search(said[-1]))


def _require_pinned(image: str) -> None:
    if not reference.parse(image).digest:
        raise SfpError(f"{image} is not pinned by a digest.", "Render the release again: sfp server start")


def _require(image: str, found: Held | None, architecture: str) -> None:
    if found is None:
        raise SfpError(f"{image} was pulled, but Docker knows it by another digest.", "Pull it again.")
    if found.architecture != architecture:
        raise SfpError(
            f"{image} is made for {found.architecture}; this machine is {architecture}.",
            "Use a release that fits, or a machine that does.",
        )


def _architecture(host: Host) -> str:
    """What the engine runs, in Docker's words: amd64, arm64."""
    return str(json.loads(must(host, docker.version()).stdout)["Server"]["Arch"])


def _held(row: Mapping[str, Any]) -> Held:
    pinned = (reference.parse(name) for name in row.get("RepoDigests") or ())
    return Held(row["Id"], row["Architecture"], frozenset((name.name, name.digest) for name in pinned))


def _first(there: Sequence[Held], wanted: Reference) -> Held | None:
    return next((found for found in there if (wanted.name, wanted.digest) in found.pinned), None)
