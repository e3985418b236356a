"""The wheel, built and used in an environment that holds nothing but it and its dependencies."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import typer

from sfp_server import __version__
from tests.house import tree


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    result = subprocess.run(build, cwd=tree.ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a bare environment with the wheel; a pure wheel is installed by unpacking it."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    packages = next(folder.glob("lib/python3*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return folder / "bin" / "python"


def run(python: Path, *arguments: str, **environment: str) -> str:
    dependencies = str(Path(typer.__file__).parents[1])
    ran = subprocess.run(
        [python, *arguments],
        cwd=python.parent,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": dependencies, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_it_holds_the_package_and_its_assets_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"sfp_server", f"sfp_server-{__version__}.dist-info"}
    packaged = {name.removeprefix("sfp_server/_assets/") for name in names if name.startswith("sfp_server/_assets/")}
    ours = {str(path.relative_to(tree.ROOT)) for folder in ("templates", "compose") for path in tree.files("", folder)}
    assert packaged == ours
    assert "sfp_server/py.typed" in names


def test_it_runs_where_only_it_is_installed(python: Path) -> None:
    program = (
        "import sfp_server, sys; from sfp_server.cli import run; from sfp_server import assets;"
        "print(sfp_server.__file__); print((assets.templates() / 'sample-project/sfdx-project.json').is_file());"
        "sys.exit(run(['--version']))"
    )
    where, assets, version = run(python, "-c", program).splitlines()
    assert Path(where).is_relative_to(python.parents[1])
    assert assets == "True"
    assert version == f"sfp-server {__version__}"


def test_it_makes_an_instance_from_its_own_templates(python: Path, tmp_path: Path) -> None:
    program = "import sys; from sfp_server.cli import run; sys.exit(run(sys.argv[1:]))"
    run(python, "-c", program, "init", "--tenant", "bare", "--engine", "embedded", SFP_SERVER_HOME=str(tmp_path))
    assert "config_version" in (tmp_path / "tenants" / "bare" / "server.yml").read_text()
