"""A dry run says everything and does nothing."""

from pathlib import Path

from sfp_server.cmd.base import Cmd, Secret, cmd
from sfp_server.host.dry import DryHost
from sfp_server.host.local import LocalHost


def test_it_says_and_does_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    host = DryHost(LocalHost(), said.append)
    assert host.run(cmd("touch", tmp_path / "a b")).ok
    assert list(host.stream(Cmd(("touch", "x"), env={"NAME": "v w"}, cwd=str(tmp_path)))) == []
    host.put(str(tmp_path / "public"), b"12345")
    assert said == [
        f"run   touch '{tmp_path}/a b'",
        f"run   cd {tmp_path} && NAME='v w' touch x",
        f"write {tmp_path}/public  (0644, 5 bytes)",
    ]
    assert list(tmp_path.iterdir()) == []


def test_it_tells_nothing_of_what_is_private(tmp_path: Path) -> None:
    said: list[str] = []
    host = DryHost(LocalHost(), said.append)
    host.put(str(tmp_path / "key"), b"hush", 0o400)
    host.run(cmd("tee", "x", stdin=Secret("hush")))
    assert said == [f"write {tmp_path}/key  (0400, private)", "run   tee x < (standard input)"]


def test_it_reads_for_real_and_knows_what_would_stay(tmp_path: Path) -> None:
    said: list[str] = []
    host = DryHost(LocalHost(), said.append)
    (tmp_path / "file").write_text("same")
    assert host.get(str(tmp_path / "file")) == b"same"
    host.put(str(tmp_path / "file"), b"same")
    assert said == [f"write {tmp_path}/file  (0644, 4 bytes, as it is)"]
