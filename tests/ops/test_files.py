"""Files whole or not at all, on a disk that fills up too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sfp_server.errors import SfpError
from sfp_server.ops import files


def test_a_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "f"
    files.replace(path, b"one", 0o600)
    files.replace(path, b"two", 0o640)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two", 0o640)
    assert os.listdir(tmp_path) == ["f"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    (tmp_path / "link").symlink_to("repository/f")
    files.replace(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "repository/f").read_bytes() == b"x"


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    files.make_folder(tmp_path / "a/b", {"x": (b"1", 0o600), "deep/y": (b"2", 0o644)})
    assert (tmp_path / "a/b/deep/y").read_bytes() == b"2"
    assert (tmp_path / "a/b/x").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path / "a") == ["b"]


def test_a_folder_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/mine").touch()
    with pytest.raises(SfpError, match=f"cannot write {tmp_path / 'a'}"):
        files.make_folder(tmp_path / "a", {"x": (b"1", 0o600)})
    assert os.listdir(tmp_path) == ["a"]
    assert os.listdir(tmp_path / "a") == ["mine"]


FULL = """
import resource, signal, sys
from pathlib import Path
from sfp_server.ops import files
from sfp_server.errors import SfpError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
base = Path(sys.argv[1])
try:
    if sys.argv[2] == "folder":
        files.make_folder(base / "tenants" / "acme", {"small": (b"x", 0o600), "large": (b"x" * 200, 0o600)})
    else:
        files.replace(base / "f", b"x" * 200)
except SfpError as error:
    print(error.message)
"""


@pytest.mark.parametrize("what", ["folder", "file"])
def test_where_there_is_no_room_nothing_is_left(tmp_path: Path, what: str) -> None:
    (tmp_path / "f").write_bytes(b"old")
    ran = subprocess.run([sys.executable, "-c", FULL, tmp_path, what], capture_output=True, text=True, check=True)
    assert "Nothing was changed." in ran.stdout
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"old"


def test_the_error_says_what_to_do() -> None:
    full = files.unwritten(Path("/srv/none/x"), OSError(28, "No space left on device"))
    assert full.message == "cannot write /srv/none/x: no space left on device. Nothing was changed."
    assert full.hint == "Make room on its disk (df -h /srv), then do the same again."
    assert "--base-dir" in files.unwritten(Path("/x/y"), OSError(13, "Permission denied")).hint
