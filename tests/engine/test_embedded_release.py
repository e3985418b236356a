"""The release of the embedded engine is the installed package."""

import json
import sys
from pathlib import Path

import pytest

from sfp_server import __version__
from sfp_server.engine.embedded import EmbeddedEngine
from sfp_server.errors import SfpError
from sfp_server.host.dry import DryHost
from sfp_server.host.local import LocalHost


def bundle(folder: Path, release: str) -> str:
    (folder / "services.json").write_text(json.dumps({"release": release}))
    return str(folder)


def test_a_bundle_of_another_release_is_refused(tmp_path: Path) -> None:
    engine = EmbeddedEngine(LocalHost(), sys.executable)
    other = bundle(tmp_path, "9.8.7")
    assert list(engine.verify(other)) == [f"{other} is of release 9.8.7, and {__version__} is installed"]
    with pytest.raises(SfpError, match=r"is of release 9\.8\.7"):
        list(engine.fetch(other))


def test_one_of_the_installed_release_is_there_already(tmp_path: Path) -> None:
    engine = EmbeddedEngine(LocalHost(), sys.executable)
    assert len(list(engine.fetch(bundle(tmp_path, __version__)))) == 1


def test_a_dry_run_asks_and_knows_nothing(tmp_path: Path) -> None:
    engine = EmbeddedEngine(DryHost(LocalHost(), [].append), sys.executable)
    assert engine.verify(bundle(tmp_path, "9.8.7")) == []
