"""The bundle of the embedded engine, file by file, and that no secret is in it."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from sfp_server.cmd.base import Secret
from sfp_server.errors import SfpError
from sfp_server.ops import secrets
from sfp_server.ops.config import parse
from sfp_server.ops.draft import starter
from sfp_server.ops.instance import Instance
from sfp_server.ops.release import Release, installed
from sfp_server.ops.render import Bundle, render
from tests.golden.compare import HERE, golden

INSTANCE = Instance(Path("/srv/sfp"), "demo")
RELEASE = Release("1.2.3", schema_version=7, config_version=1)
SETTINGS = "config_version: 1\ntenant: demo\nengine: embedded\n"
VALUES = {name: Secret(f"canary-{number}-{name}") for number, name in enumerate(secrets.GENERATED)}


def bundle(settings: str = SETTINGS, values: secrets.Secrets = VALUES) -> Bundle:
    return render(parse(settings), RELEASE, INSTANCE, values)


def test_the_bundle_is_the_reviewed_one() -> None:
    files = bundle().files
    for path, content in files.items():
        golden(f"bundle-embedded/{path}", content.decode())
    there = {str(path.relative_to(HERE / "bundle-embedded")) for path in (HERE / "bundle-embedded").rglob("*.*")}
    assert there == set(files)


def test_what_lies_outside_is_addressed_and_not_run() -> None:
    outside = bundle(
        SETTINGS + "toolchain: off\ndatabase: {url: 'postgresql://owner@db.acme.com:5433/sfp?sslmode=require'}\n"
        "objects: {bucket: acme, endpoint: 'https://s3.acme.com', region: eu-1}\n"
    )
    golden("bundle-outside/migrate.env", outside.files["env/migrate.env"].decode())
    names = [service["name"] for service in json.loads(outside.files["services.json"])["services"]]
    assert "postgres" not in names
    assert b"SFP_TOOLCHAIN" not in outside.files["env/launcher.env"]


def test_the_same_input_gives_the_same_bytes() -> None:
    assert bundle() == bundle()
    assert bundle().name == f"1.2.3-{bundle().hash[:12]}"


def test_the_manifest_names_every_file_with_its_hash() -> None:
    made = bundle()
    manifest = json.loads(made.files["manifest.json"])
    assert manifest["files"] == {
        path: sha256(content).hexdigest() for path, content in made.files.items() if path != "manifest.json"
    }
    assert made.hash == sha256(made.files["manifest.json"]).hexdigest()


def test_no_secret_is_in_a_bundle() -> None:
    everything = b"\n".join(bundle().files.values()).decode()
    for value in VALUES.values():
        assert value.reveal() not in everything
        assert sha256(value.reveal().encode()).hexdigest() not in everything


@pytest.mark.parametrize("name", secrets.GENERATED)
def test_another_secret_makes_another_bundle(name: str) -> None:
    rotated = bundle(values={**VALUES, name: Secret("another")})
    assert rotated.hash != bundle().hash
    assert {path for path, content in bundle().files.items() if rotated.files[path] != content} == {"manifest.json"}


def test_other_settings_make_another_bundle() -> None:
    assert bundle(SETTINGS + "workers: {normal: 2}\n").hash != bundle().hash


def test_no_path_of_this_machine_is_in_a_bundle() -> None:
    import sys

    everything = b"\n".join(bundle().files.values()).decode()
    assert sys.prefix not in everything
    assert str(Path.home()) + "/" not in everything


def test_paths_with_odd_characters_stay_whole() -> None:
    odd = Instance(Path('/srv/my "sfp" ä?'), "demo")
    made = render(parse(SETTINGS), RELEASE, odd, VALUES)
    assert 'unixsocket "/srv/my \\"sfp\\" ä?/tenants/demo/run/redis.sock"' in made.files["redis.conf"].decode()
    assert "host=/srv/my%20%22sfp%22%20%C3%A4%3F/tenants/demo/run" in made.files["env/api.env"].decode()
    with pytest.raises(SfpError, match="would break a line"):
        render(parse(SETTINGS), RELEASE, Instance(Path("/srv/a\nb"), "demo"), VALUES)


def test_a_release_without_the_images_that_are_needed_is_refused() -> None:
    with pytest.raises(SfpError, match=r"release 1\.2\.3 names no image of postgres and none of redis"):
        bundle("config_version: 1\ntenant: demo\ndomain: a.b\n")


def test_the_installed_release_is_this_package() -> None:
    from sfp_server import __version__

    assert (installed().version, installed().config_version) == (__version__, 1)


def test_the_starter_is_the_reviewed_one() -> None:
    golden("server.yml", starter(parse(SETTINGS)))
