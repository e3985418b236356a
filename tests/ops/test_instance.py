"""Paths of an instance, and finding one by its name."""

from pathlib import Path

import pytest

from sfp_server.errors import CheckError, UsageError
from sfp_server.ops.instance import Instance, base_dir, find, make_run_folder, named, tenants, valid_name


def make(base: Path, *names: str) -> None:
    for name in names:
        (base / "tenants" / name).mkdir(parents=True)
        (base / "tenants" / name / "server.yml").touch()


def test_the_base_is_the_flag_else_the_variable_else_the_home_folder() -> None:
    home = {"SFP_SERVER_HOME": "/srv/sfp"}
    assert base_dir(Path("/opt/x"), home) == Path("/opt/x")
    assert base_dir(None, home) == Path("/srv/sfp")
    assert base_dir(None, {"SFP_SERVER_HOME": ""}) == Path.home() / ".sfp-server"
    assert base_dir(Path("here"), {}) == Path.cwd() / "here"


@pytest.mark.parametrize("name", ["a", "acme", "acme-2", "a" * 32])
def test_names_that_can_be_used(name: str) -> None:
    assert valid_name(name)


@pytest.mark.parametrize("name", ["", "Acme", "2a", "-a", "a-", "a_b", "a.b", "a/b", "..", "a" * 33, "a\n", "ä"])
def test_names_that_cannot(name: str) -> None:
    assert not valid_name(name)
    with pytest.raises(UsageError):
        named(Path("/srv"), name)


def test_the_only_tenant_needs_no_name(tmp_path: Path) -> None:
    make(tmp_path, "acme")
    assert find(tmp_path, None) == Instance(tmp_path, "acme")


def test_without_any_tenant_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find(tmp_path, None)
    assert caught.value.hint == "Make one: sfp server init --tenant NAME"


def test_among_several_one_is_named(tmp_path: Path) -> None:
    make(tmp_path, "beta", "acme")
    assert tenants(tmp_path) == ["acme", "beta"]
    assert find(tmp_path, "beta").folder == tmp_path / "tenants/beta"
    with pytest.raises(UsageError, match="there are 2 tenants: acme, beta"):
        find(tmp_path, None)
    with pytest.raises(UsageError, match=r'no tenant "gamma" .*there is acme, beta'):
        find(tmp_path, "gamma")


def test_sockets_move_where_the_path_is_too_long_for_them() -> None:
    near, far = Instance(Path("/srv/sfp"), "acme"), Instance(Path("/srv") / ("x" * 80), "acme")
    assert near.run == near.folder / "run"
    assert len(str(far.run)) + 20 <= 100
    assert far.run == Instance(far.base, "acme").run != Instance(far.base, "other").run


def test_the_folder_of_sockets_is_for_its_owner_alone(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "b", "acme")
    assert make_run_folder(instance).stat().st_mode & 0o777 == 0o700
    instance.run.chmod(0o755)
    with pytest.raises(CheckError, match="not a folder of yours alone"):
        make_run_folder(instance)
    instance.run.rmdir()
    instance.run.symlink_to(tmp_path)
    with pytest.raises(CheckError):
        make_run_folder(instance)
