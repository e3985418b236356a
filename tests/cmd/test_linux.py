"""Commands of Linux on the real machine, and how their answers are read."""

import os
import socket
from pathlib import Path

from sfp_server.cmd import linux
from sfp_server.host.base import must
from sfp_server.host.local import LocalHost

HOST = LocalHost()


def test_a_link_is_made_and_moved(tmp_path: Path) -> None:
    for target in ("releases/1", "releases/2"):
        must(HOST, linux.link(target, tmp_path / "current"))
        assert os.readlink(tmp_path / "current") == target
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_is_cleared_but_for_what_is_kept(tmp_path: Path) -> None:
    for name in ("data", "data/below", "logs", "logs/-rf", "with space"):
        (tmp_path / name).mkdir()
    must(HOST, linux.clear(tmp_path, ["data", "none"]))
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["data", "data/below"]


def test_removing_what_is_not_there_is_done_already(tmp_path: Path) -> None:
    assert HOST.run(linux.remove(tmp_path / "none")).ok


def test_a_private_folder(tmp_path: Path) -> None:
    must(HOST, linux.private_folder(tmp_path / "a" / "b"))
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700


def test_a_mode_and_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o640)
    assert linux.parse_mode(HOST.run(linux.mode(tmp_path / "file")).stdout) == 0o640
    assert linux.parse_mode(HOST.run(linux.mode(tmp_path / "none")).stdout) is None


def test_room_and_size(tmp_path: Path) -> None:
    assert linux.parse_free(HOST.run(linux.free(tmp_path)).stdout) or 0 > 0
    assert linux.parse_free("df: no such file") is None
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    assert linux.parse_size(HOST.run(linux.size(tmp_path)).stdout) >= 100_000


def test_who_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        listening = linux.parse_listening(HOST.run(linux.LISTENING).stdout)
        inode = listening[server.getsockname()[1]]
        assert linux.parse_owner(HOST.run(linux.owners_of(inode)).stdout) == os.getpid()
    assert linux.parse_owner("") is None


def test_who_listens_on_version_six() -> None:
    row = (
        "   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00:00 00:00 00 0 0 4711 1"
    )
    assert linux.parse_listening(f"  sl  local_address\n{row}\n") == {443: 4711}


def test_who_listens_on_another_address_is_not_in_the_way() -> None:
    rows = [
        "   0: 0A00020F:01BB 00000000:0000 0A 00:00 00:00 00 0 0 4711 1",
        "   1: 0100007F:01BC 00000000:0000 01 00:00 00:00 00 0 0 4712 1",
    ]
    assert linux.parse_listening("\n".join(rows)) == {}
