"""The lock: one at a time, named, gone with its holder, and taken over by raising the epoch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sfp_server.clock import SystemClock
from sfp_server.errors import CheckError, LockedError
from sfp_server.ops.lock import Lock, held

CLOCK = SystemClock()


def test_a_second_one_is_told_who_what_and_since_when(tmp_path: Path) -> None:
    with held(tmp_path / "lock", "ann@laptop", "start", CLOCK):
        since = json.loads((tmp_path / "lock/holder.json").read_text())["since"]
        with pytest.raises(LockedError, match="ann@laptop is at work on this instance: start") as caught:
            _hold(tmp_path / "lock")
        assert since in caught.value.message
    _hold(tmp_path / "lock")


def test_every_holder_raises_the_epoch(tmp_path: Path) -> None:
    epochs = [_hold(tmp_path / "lock").epoch for _ in range(3)]
    assert epochs == [1, 2, 3]


def test_who_was_taken_over_stops(tmp_path: Path) -> None:
    with held(tmp_path / "lock", "ann@laptop", "start", CLOCK) as lock:
        lock.check()
        (tmp_path / "lock/epoch").write_text("7\n")
        with pytest.raises(LockedError, match="took this operation over"):
            lock.check()


def test_it_is_gone_with_a_holder_that_is_killed_and_its_children_do_not_keep_it(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys; from pathlib import Path; from sfp_server.clock import SystemClock\n"
        "from sfp_server.ops.lock import held\n"
        "with held(Path(sys.argv[1]), 'bob@ci', 'start', SystemClock()):\n"
        "    child = subprocess.Popen(['sleep', '1000'], start_new_session=True, stdout=subprocess.DEVNULL)\n"
        "    print(child.pid, flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(LockedError, match=rf"bob@ci .* \(pid {holder.pid}\)"):
            _hold(tmp_path / "lock")
        holder.kill()
        holder.communicate()
        assert _hold(tmp_path / "lock").epoch == 2
    finally:
        subprocess.run(["kill", "-KILL", str(child)], check=True)


def test_an_instance_that_was_removed_meanwhile_is_locked_anew(tmp_path: Path) -> None:
    with held(tmp_path / "lock", "ann@laptop", "destroy", CLOCK):
        for path in (tmp_path / "lock").iterdir():
            path.unlink()
        (tmp_path / "lock").rmdir()
    assert _hold(tmp_path / "lock").epoch == 1


def test_a_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckError, match="cannot lock"):
        _hold(tmp_path / "file" / "lock")


def test_an_epoch_that_is_no_number_is_named(tmp_path: Path) -> None:
    _hold(tmp_path / "lock")
    (tmp_path / "lock/epoch").write_text("")
    with pytest.raises(LockedError, match="does not hold a number"):
        _hold(tmp_path / "lock")


def _hold(folder: Path) -> Lock:
    with held(folder, "eve@elsewhere", "stop", CLOCK) as lock:
        return lock
