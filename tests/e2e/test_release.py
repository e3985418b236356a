"""A release, from the source to images that are there under their digests."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sfp_server.engine.images import Images, holds
from sfp_server.engine.registry import Registry
from sfp_server.errors import SfpError
from sfp_server.ops.release import manifest
from tests.e2e.conftest import VERSION, Released, Sfp
from tests.e2e.machinery.docker import docker, inspect
from tests.e2e.machinery.stages import Stages

pytestmark = pytest.mark.e2e

_BARE = ("--rm", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none")
_WORK = ("--tmpfs=/tmp", "--tmpfs=/sandbox:uid=10002,gid=10002,mode=0700", "--env=SFP_WORK=/sandbox")
_IMPORT_ALL = """
import importlib, pkgutil, sfp_server.server as server
names = [module.name for module in pkgutil.walk_packages(server.__path__, "sfp_server.server.")]
for name in names:
    if not name.endswith(("__main__", ".child")):
        importlib.import_module(name)
print(len(names))
"""
_TOOLS = """
id -u; sf --version; sfp --version; git --version; cd /opt/tools
node -e 'const D = require("better-sqlite3"); console.log("sqlite", new D(":memory:").prepare("select sqlite_version() v").pluck().get())'
! command -v g++ >/dev/null || echo compiler
"""  # noqa: E501


def test_every_image_is_an_index_under_its_digest(released: Released, sfp: Sfp) -> None:
    assert set(released.release.images) == {"server", "worker", "postgres", "redis", "caddy", "minio"}
    for image in released.release.images.values():
        assert image.name.startswith(released.prepared.prefix + "/")
        assert "linux/amd64" in image.platforms
    done = sfp("release", "verify", released.file)
    assert (done.returncode, done.stderr) == (0, "")
    assert "6 images" in done.stdout


def test_a_copy_keeps_the_digest_of_what_it_copies(released: Released) -> None:
    pinned = released.prepared.upstream.read_text()
    for service in ("postgres", "redis", "caddy", "minio"):
        assert released.release.images[service].digest in pinned


def test_a_digest_that_was_tampered_with_is_refused(released: Released, sfp: Sfp, tmp_path: Path) -> None:
    images = dict(released.release.images)
    images["redis"] = replace(images["redis"], digest=f"sha256:{'0' * 64}")
    images["caddy"] = replace(images["caddy"], digest=images["postgres"].digest)
    file = tmp_path / "tampered.json"
    file.write_text(manifest(replace(released.release, images=images)))
    done = sfp("release", "verify", file)
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:3]] == ["caddy", "redis"]
    assert "Traceback" not in done.stderr
    said = json.loads(sfp("release", "verify", file, "--json").stdout)
    assert (said["schema"], len(said["problems"])) == ("sfp.release-check", 2)


def test_a_release_built_again_is_the_same_one(released: Released, sfp: Sfp, stages: Stages, tmp_path: Path) -> None:
    file = tmp_path / "again.json"
    with stages.stage("release build, again"):
        done = sfp("release", "build", "--version", VERSION, *released.prepared.build_options(), "--output", file)
    assert done.returncode == 0, done.stderr
    again = json.loads(file.read_text())
    assert again["images"] == json.loads(released.file.read_text())["images"]


def test_a_new_version_builds_no_layer_but_the_last(
    released: Released, sfp: Sfp, stages: Stages, tmp_path: Path
) -> None:
    with stages.stage("release build, next version"):
        options = (*released.prepared.build_options(), "--output", tmp_path / "next.json")
        assert sfp("release", "build", "--version", "0.1.1-next", *options).returncode == 0
    layers = {}
    for tag in (VERSION, "0.1.1-next"):
        image = f"{released.prepared.prefix}/worker:{tag}-linux-amd64"
        layers[tag] = inspect("image", image)["RootFS"]["Layers"]
    assert layers[VERSION] == layers["0.1.1-next"]


def test_what_is_pulled_is_what_was_pinned(released: Released, stages: Stages) -> None:
    with stages.stage("pull by digest"):
        for image in released.release.images.values():
            local = Images().pull(image.reference)
            assert holds(local, image.reference)
            assert local.platform == "linux/amd64"
    worker = Images().inspect(released.release.images["worker"].reference)
    assert worker.labels["org.opencontainers.image.version"] == VERSION
    absent = replace(released.release.images["redis"].reference, digest=f"sha256:{'0' * 64}")
    with pytest.raises(SfpError, match="was not pulled"):
        Images().pull(absent)


def test_the_server_image_runs_alone_and_unprivileged(released: Released) -> None:
    image = str(released.release.images["server"])
    assert docker("run", *_BARE, "--entrypoint=id", image, "-u") == "10001"
    assert int(docker("run", *_BARE, "--entrypoint=python", image, "-c", _IMPORT_ALL)) > 20
    with pytest.raises(RuntimeError, match="No module named 'sfp_server"):
        docker("run", *_BARE, "--entrypoint=python", image, "-c", "import sfp_server.cli")


def test_the_worker_image_has_its_tools_and_runs_a_task(released: Released) -> None:
    image = str(released.release.images["worker"])
    said = docker("run", *_BARE, *_WORK, "--interactive", image, given=b'{"type": "ping", "data": {"echo": "hi"}}')
    assert json.loads(said.splitlines()[-1]) == {"result": {"pong": True, "echo": "hi"}}
    tools = docker("run", *_BARE, *_WORK, "--env=HOME=/sandbox", "--entrypoint=sh", image, "-c", _TOOLS)
    for wanted in ("10002", "@salesforce/cli/2.", "node-v22.", "@flxbl-io/sfp/39.2.2", "git version 2.", "sqlite 3."):
        assert wanted in tools
    assert "compiler" not in tools


def test_an_image_that_lacks_a_platform_is_no_part_of_a_release(released: Released, sfp: Sfp, tmp_path: Path) -> None:
    image = released.release.images["redis"]
    images = {"redis": replace(image, platforms=(*image.platforms, "linux/arm64"))}
    file = tmp_path / "arm.json"
    file.write_text(manifest(replace(released.release, images=images)))
    done = sfp("release", "verify", file)
    assert done.returncode == 3
    assert "is not there for linux/arm64" in done.stderr


def test_a_single_image_under_a_tag_is_told_from_an_index(released: Released) -> None:
    local = released.prepared.registry
    with Registry() as registry:
        part = registry.resolve(local.reference(f"sfp/server:{VERSION}-linux-amd64"))
        whole = registry.resolve(local.reference(f"sfp/server:{VERSION}"))
    assert (part.index, part.platforms) == (False, ("linux/amd64",))
    assert (whole.index, whole.platforms) == (True, ("linux/amd64",))
