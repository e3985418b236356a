"""Make a release: build what is ours, take over what is others', say what became of it; and verify that later."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from sfp_server.clock import Clock, rfc3339
from sfp_server.engine import reference
from sfp_server.engine.images import Build
from sfp_server.engine.reference import Reference
from sfp_server.engine.registry import Resolved
from sfp_server.errors import CheckError, SfpError, UsageError
from sfp_server.ops import config, yamlfile
from sfp_server.ops import release as releases
from sfp_server.ops.plan import Reporter
from sfp_server.ops.release import OWN, Image, Release, Upstream, is_version, newest_migration


class Docker(Protocol):
    """What builds, pushes and copies."""

    def build(self, build: Build, platform: str, tag: Reference) -> None: ...
    def index(self, tag: Reference, sources: Sequence[Reference]) -> None: ...


class Registry(Protocol):
    """What says what a name stands for."""

    def resolve(self, image: Reference) -> Resolved: ...
    def has(self, image: Reference) -> bool: ...


@dataclass(frozen=True)
class Order:
    """A release to be made. `prefix` is where its images go (`registry.acme.com/sfp`); `source` is a checkout of this
    project; `arguments` and `network` are those of the build."""

    prefix: str
    version: str
    platforms: Sequence[str]
    source: Path
    upstream: Upstream
    arguments: Mapping[str, str]
    network: str = ""

    def tag(self, name: str, tag: str) -> Reference:
        """An image of the release, in its registry."""
        return reference.parse(f"{self.prefix}/{name}:{tag}")


def load(path: Path) -> Release:
    """The release in a manifest file."""
    return releases.parse(_text(path), str(path))


def upstream(path: Path) -> Upstream:
    """What a release takes over, from a file like `compose/release.yml`."""
    return releases.upstream(yamlfile.read(_text(path), str(path)).data, str(path))


def make(order: Order, docker: Docker, registry: Registry, reporter: Reporter, clock: Clock) -> Release:
    """Build and copy every image into the order's registry and say what release that is. It may be run again after a
    failure: what is there already is found there."""
    _check(order)
    images: dict[str, Image] = {}
    for service in OWN:
        images[service] = _step(reporter, clock, service, partial(_built, order, service, docker, registry))
    for service, image in order.upstream.images.items():
        images[service] = _step(reporter, clock, service, partial(_copied, order, image, docker, registry))
    return Release(
        order.version,
        newest_migration(path.name for path in (order.source / "sfp_server/server/migrations").glob("*.sql")),
        config.VERSION,
        images,
        rfc3339(clock.now()),
        order.upstream.min_upgrade_from,
        order.upstream.min_cli,
    )


def problems(release: Release, registry: Registry) -> Iterator[str]:
    """What a registry no longer serves as the release says: one line each. Every image is asked for by its digest, and
    what comes is hashed; a tag that moved on matters to nobody."""
    for service, image in sorted(release.images.items()):
        try:
            found = registry.resolve(image.reference)
        except SfpError as error:
            yield f"{service}: {error.message}"
            continue
        if not found.index:
            yield f"{service}: {image} is a single image, not an index of platforms"
        if lacking := set(image.platforms) - set(found.platforms):
            yield f"{service}: {image} is not there for {', '.join(sorted(lacking))}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{path} cannot be read: {reason}.") from None


def _check(order: Order) -> None:
    if not is_version(order.version):
        raise UsageError(f"{order.version!r} is no version.", "It reads like 1.4.0 or 1.4.0-rc.1.")
    if not (order.source / "compose/Dockerfile").is_file() or not (order.source / "pyproject.toml").is_file():
        raise UsageError(
            f"{order.source} is no checkout of this project.", "Images are built from its source: clone it."
        )


def _step(reporter: Reporter, clock: Clock, service: str, work: Callable[[], tuple[Image, str]]) -> Image:
    began = clock.monotonic()
    reporter.begin(service)
    try:
        image, words = work()
    except SfpError:
        reporter.failed(service, "not released")
        raise
    reporter.done(service, words, clock.monotonic() - began)
    return image


def _built(order: Order, service: str, docker: Docker, registry: Registry) -> tuple[Image, str]:
    """One image for each platform, and an index of them under the version."""
    arguments = {"VERSION": order.version, **order.arguments}
    build = Build(order.source, order.source / "compose/Dockerfile", service, arguments, order.network)
    parts = {
        platform: order.tag(service, f"{order.version}-{platform.replace('/', '-')}") for platform in order.platforms
    }
    for platform, part in parts.items():
        docker.build(build, platform, part)
    target = order.tag(service, order.version)
    docker.index(target, [part.at(registry.resolve(part).digest) for part in parts.values()])
    image = _resolved(target, registry, order.platforms)
    return image, f"{order.version} built for {', '.join(image.platforms)}"


def _part(version: str, platform: str) -> str:
    """The tag of one platform's image, which only its index refers to."""
    return f"{version}-{platform.replace('/', '-')}"


def _copied(order: Order, taken: Image, docker: Docker, registry: Registry) -> tuple[Image, str]:
    """The same index in our registry, with the same digest."""
    source = taken.reference
    target = order.tag(source.repository.rpartition("/")[2], taken.tag)
    there = registry.has(target.at(taken.digest))
    if not there:
        docker.index(target, [source])
    image = _resolved(target.at(taken.digest), registry, order.platforms)
    return image, f"{taken.tag} {'is there' if there else 'copied'}"


def _resolved(target: Reference, registry: Registry, platforms: Sequence[str]) -> Image:
    found = registry.resolve(target)
    if not found.index:
        raise SfpError(f"{target} became a single image, not an index of platforms.", "Update Docker's Buildx.")
    if lacking := set(platforms) - set(found.platforms):
        raise CheckError(
            f"{target} is not there for {', '.join(sorted(lacking))}, only for {', '.join(found.platforms)}.",
            "Name the platforms that all images have: --platform linux/amd64",
        )
    plain = replace(target, tag="", digest="")
    return Image(str(plain), target.tag, found.digest, found.platforms)
