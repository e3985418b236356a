"""`release`: images by digest, and what belongs together with them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfp_server.cli import ui
from sfp_server.errors import CheckError, UsageError

if TYPE_CHECKING:
    from sfp_server.engine.registry import Registry
    from sfp_server.ops.release import Image, Release
    from sfp_server.ops.releasing import Order

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

_REGISTRY = typer.Option("--registry", metavar="R", help="Where its images go, like registry.acme.com/sfp.")
_VERSION = typer.Option("--version", metavar="V", help="Its version; else that of this program.")
_PLATFORM = typer.Option("--platform", metavar="P", help="Build for it, like linux/arm64; else for this machine's.")
_ARGUMENT = typer.Option("--build-arg", metavar="NAME=VALUE", help="For the Dockerfile; it can be read in the image.")
_NETWORK = typer.Option("--network", metavar="NAME", help="The network of the build's steps, like host.")
_UPSTREAM = typer.Option("--upstream", metavar="FILE", help="What it takes over; else compose/release.yml.")
_OUTPUT = typer.Option("--output", "-o", metavar="FILE", help="The manifest; else release-V.json.")
_MANIFEST = typer.Argument(metavar="FILE", help="The manifest of a release.")


@app.callback()
def release() -> None:
    """Build, show and verify releases."""


@app.command()
def build(
    registry: Annotated[str, _REGISTRY],
    version: Annotated[str | None, _VERSION] = None,
    platform: Annotated[list[str] | None, _PLATFORM] = None,
    build_arg: Annotated[list[str] | None, _ARGUMENT] = None,
    network: Annotated[str, _NETWORK] = "",
    upstream: Annotated[Path | None, _UPSTREAM] = None,
    output: Annotated[Path | None, _OUTPUT] = None,
    dry_run: ui.DRY_RUN = False,
    json: ui.JSON = False,
) -> None:
    """Build and push the images, copy the others, and write the release's manifest."""
    from sfp_server import __version__, assets
    from sfp_server.ops import releasing

    order = releasing.Order(
        prefix=registry.rstrip("/"),
        version=version or __version__,
        platforms=platform or [_this_platform()],
        source=Path(__file__).parents[2],
        upstream=releasing.upstream(upstream or assets.compose() / "release.yml"),
        arguments=_arguments(build_arg or []),
        network=network,
    )
    file = output or Path(f"release-{order.version}.json")
    if dry_run:
        return _rehearse(order, file)
    made = _made(order, json)
    _write(made, file)
    if json:
        return _print(made)
    ui.say(f"Wrote {file}, release {made.version}, {len(made.images)} images by digest")
    ui.say(f"Next: sfp server release verify {file}")


@app.command()
def show(file: Annotated[Path | None, _MANIFEST] = None, json: ui.JSON = False) -> None:
    """Show what a release is made of; without FILE, what this program would build one from."""
    from sfp_server import assets
    from sfp_server.ops import release, releasing

    if file is not None:
        return _show(releasing.load(file), json)
    taken = releasing.upstream(assets.compose() / "release.yml")
    own = release.installed()
    if json:
        images = {service: str(image) for service, image in taken.images.items()}
        body = {"release": own.version, "schema_version": own.schema_version, "config_version": own.config_version}
        return ui.document("release-source", {**body, "images": images})
    ui.say(
        f"{own.version}  schema {own.schema_version}, configuration {own.config_version}, not built yet; it takes over"
    )
    _table(taken.images)


@app.command()
def verify(file: Annotated[Path, _MANIFEST], json: ui.JSON = False) -> None:
    """Ask the registry for every image by its digest. The exit code is 3 where one is not as it should be."""
    from sfp_server.ops import releasing

    wanted = releasing.load(file)
    with _registry() as registry:
        problems = list(releasing.problems(wanted, registry))
    if json:
        ui.document("release-check", {"release": wanted.version, "images": len(wanted.images), "problems": problems})
        raise typer.Exit(CheckError.exit_code if problems else 0)
    if problems:
        raise CheckError("\n  ".join([f"release {wanted.version} is not what its registry serves:", *problems]))
    ui.say(f"Release {wanted.version}: {len(wanted.images)} images, every digest as it should be.")


def _made(order: "Order", json: bool) -> "Release":
    from sfp_server.clock import SystemClock
    from sfp_server.engine.images import Images
    from sfp_server.ops import releasing

    with _registry() as registry:
        return releasing.make(order, Images(), registry, ui.reporter(json), SystemClock())


def _registry() -> "Registry":
    """Registries, with the sign-ins of Docker on this machine."""
    import os

    from sfp_server.engine.credentials import of_docker
    from sfp_server.engine.registry import Registry
    from sfp_server.host.local import LocalHost

    folder = os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
    return Registry(of_docker(LocalHost(), folder))


def _this_platform() -> str:
    import platform

    names = {"x86_64": "amd64", "aarch64": "arm64"}
    machine = platform.machine().lower()
    return f"linux/{names.get(machine, machine)}"


def _arguments(pairs: Sequence[str]) -> dict[str, str]:
    found = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(found) < len(pairs):
        raise UsageError("--build-arg takes NAME=VALUE, each name once.")
    return found


def _write(made: "Release", file: Path) -> None:
    from sfp_server.ops import files, release

    files.replace(file, release.manifest(made).encode())


def _rehearse(order: "Order", file: Path) -> None:
    from sfp_server.ops.release import OWN

    for service in OWN:
        ui.say(f"build  {order.tag(service, order.version)} for {', '.join(order.platforms)}")
    for image in order.upstream.images.values():
        ui.say(f"copy   {image} to {order.prefix}")
    ui.say(f"write  {file}")


def _show(found: "Release", json: bool) -> None:
    if json:
        return _print(found)
    ui.say(
        f"{found.version}  schema {found.schema_version}, configuration {found.config_version}, made {found.created}"
    )
    ui.say(f"Updates {found.min_upgrade_from} and newer; needs sfp-server {found.min_cli} or newer.")
    _table(found.images)


def _title(found: "Release") -> str:
    return f"{found.version}  schema {found.schema_version}, configuration {found.config_version}"


def _print(found: "Release") -> None:
    from sfp_server.ops import release

    ui.say(release.manifest(found).rstrip())


def _table(images: "Mapping[str, Image]") -> None:
    rows = [
        (service, image.name, image.tag, image.digest, ", ".join(image.platforms))
        for service, image in sorted(images.items())
    ]
    ui.table(rows, ("SERVICE", "IMAGE", "TAG", "DIGEST", "PLATFORMS"))
