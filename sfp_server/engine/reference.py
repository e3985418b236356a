"""How an image is called: `registry/repository:tag@digest`, with the short forms that Docker's users know.

https://github.com/distribution/reference: without a registry it is Docker Hub, where a name of one part stands under
`library/`. The digest wins, the tag is for people.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from sfp_server.errors import UsageError

HUB: Final = "docker.io"

_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_REGISTRY = re.compile(r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]+)?")


@dataclass(frozen=True)
class Reference:
    """A name taken apart. `registry` is a host, with a port where it has one; tag and digest may be empty."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Registry and repository, in full."""
        return f"{self.registry}/{self.repository}"

    @property
    def loopback(self) -> bool:
        """Whether the registry is on this machine, where Docker too speaks HTTP without TLS."""
        return bool(_LOOPBACK.fullmatch(self.registry))

    def at(self, digest: str) -> "Reference":
        """The same name, pinned."""
        return replace(self, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}@{self.digest}" if self.digest else f"{self.name}{tag}"


def parse(text: str) -> Reference:
    """The reference in a text; short forms are written out."""
    rest, at, digest = text.partition("@")
    registry, path = _registry(rest)
    path, colon, tag = path.partition(":")
    sound = (
        _REGISTRY.fullmatch(registry),
        _PATH.fullmatch(path),
        _TAG.fullmatch(tag) or not colon,
        is_digest(digest) or not at,
    )
    if not all(sound):
        raise UsageError(f"{text!r} is no name of an image.", "It reads registry/repository:tag@sha256:digest.")
    return Reference(registry, path, tag, digest)


def is_digest(text: str) -> bool:
    """Whether this is a digest as it is used here: SHA-256, written out."""
    return bool(_DIGEST.fullmatch(text))


def is_name(text: str) -> bool:
    """Whether this is a name without tag and digest, its registry written out."""
    registry, path = _registry(text)
    return bool(_REGISTRY.fullmatch(registry) and _PATH.fullmatch(path)) and text == f"{registry}/{path}"


def is_tag(text: str) -> bool:
    """Whether this may be a tag."""
    return bool(_TAG.fullmatch(text))


def _registry(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if slash and (any(mark in first for mark in ".:") or first == "localhost"):
        path = rest if first not in (HUB, "index.docker.io") or "/" in rest else f"library/{rest}"
        return (HUB if first == "index.docker.io" else first), path
    return HUB, text if slash else f"library/{text}"
