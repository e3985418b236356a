"""Images of toy services in a registry on loopback: pinned as a release pins its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.machinery import registry, standins
from tests.e2e.machinery.base import base
from tests.e2e.machinery.docker import PREFIX, docker, require

_NAME = "i-toys"
_PORT = int(os.environ.get("SFP_TEST_TOYS_PORT", "5067"))


@dataclass(frozen=True)
class Toys:
    """Two images by their digests, alike but for a label."""

    one: str
    other: str


@contextmanager
def toy_images() -> Iterator[Toys]:
    """The images, as long as this lasts."""
    require()
    bare = base()
    local = registry.start(standins.stand_in(bare, "registry"), _PORT, _NAME)
    try:
        yield Toys(*(_published(local, bare, label) for label in ("one", "other")))
    finally:
        registry.stop(local, data=True)


def _published(local: registry.LocalRegistry, bare: str, label: str) -> str:
    tag, path = f"{PREFIX}{_NAME}:{label}", f"toy:{label}"
    docker("build", "--quiet", "--tag", tag, "-", given=f"FROM {bare}\nLABEL sfp.test.toy={label}\n".encode())
    try:
        return str(local.reference(path).at(local.publish(tag, path)))
    finally:
        docker("rmi", tag)
