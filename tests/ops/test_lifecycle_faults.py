"""A start that is interrupted, killed, run twice at once, or runs out of disk: nothing half done stays."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sfp_server.errors import RemoteError, SfpError
from sfp_server.host.local import LocalHost
from sfp_server.ops import lifecycle
from sfp_server.ops.journal import Operation
from sfp_server.ops.site import look
from tests.fakes.toy_site import Toy, site
from tests.waiting import eventually

pytestmark = pytest.mark.fault

ROOT = Path(__file__).parents[2]


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    (tmp_path / "go").touch()  # what a killed start left waiting ends
    lifecycle.destroy(site(tmp_path))


def begun(base: Path, *, waits: str = "api") -> "subprocess.Popen[str]":
    """A start in a program of its own, at the point where a service does not get healthy."""
    options = json.dumps({"services": {waits: {"waits": str(base / "go")}}})
    command = [sys.executable, "-m", "tests.fakes.toy_site", str(base), "start", options]
    program = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    pid_file = base / f"tenants/demo/data/toy/{waits}.json"
    eventually(pid_file.exists, 20)
    return program


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_start_stops_what_it_started(base: Path, number: int) -> None:
    program = begun(base)
    program.send_signal(number)
    told, _ = program.communicate(timeout=20)
    assert program.returncode == 130
    assert "failed services: interrupted" in told
    here = site(base)
    assert not [name for name in ("postgres", "api") if here.engine._alive(name)]  # type: ignore[attr-defined]
    assert not here.instance.current.is_symlink()
    states = [(entry.step, entry.state) for entry in here.journal.entries()]
    assert ("services", "failed") in states
    assert ("data", "undone") in states
    assert states[-1] == ("", "failed")
    assert here.journal.cut_off() is None


def test_a_second_interrupt_does_not_cut_the_undoing_short(base: Path) -> None:
    program = begun(base)
    program.send_signal(signal.SIGINT)
    assert program.stdout is not None
    for line in program.stdout:
        if line.startswith("begin back"):
            break
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=20)
    assert program.returncode == 130
    assert not site(base).engine._alive("postgres")  # type: ignore[attr-defined]


def test_a_second_start_at_the_same_time_is_refused_and_the_first_ends_well(base: Path) -> None:
    program = begun(base)
    command = [sys.executable, "-m", "tests.fakes.toy_site", str(base), "start"]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert second.returncode == 5
    assert "is at work on this instance: start, since 20" in second.stdout
    assert f"(pid {program.pid})" in second.stdout
    (base / "go").touch()
    told, _ = program.communicate(timeout=20)
    assert program.returncode == 0, told
    assert look(site(base)).status == "running"


@pytest.mark.parametrize("step", ["postgres", "api"])
def test_a_start_that_was_killed_is_taken_up_again(base: Path, step: str) -> None:
    program = begun(base, waits=step)
    program.kill()
    program.communicate()
    here = site(base)
    assert here.journal.cut_off() is not None
    assert look(here).services != ()
    assert not here.instance.current.is_symlink()
    toy = Toy({step: {"waits": str(base / "go")}})
    (base / "go").touch()
    again = site(base, toy)
    lifecycle.start(again)
    assert "was cut off: going on from there" in "\n".join(again.reporter.lines)  # type: ignore[attr-defined]
    assert look(again).status == "running"
    assert again.journal.cut_off() is None


def test_what_a_killed_start_left_can_be_stopped(base: Path) -> None:
    program = begun(base)
    program.kill()
    program.communicate()
    here = site(base)
    assert lifecycle.stop(here).changed
    assert not here.engine._alive("postgres")  # type: ignore[attr-defined]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_start_on_a_small_disk_is_refused_and_writes_nothing(small_disk: Path) -> None:
    site(small_disk)
    command = [sys.executable, "-m", "tests.fakes.toy_site", str(small_disk), "start"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert ran.returncode == 3
    assert "has 0 MiB free; 1.0 GiB is needed" in ran.stdout
    assert len(ran.stdout.splitlines()) == 2
    assert {path.name for path in (small_disk / "tenants/demo").iterdir()} == {"lock", "secrets.yml", "server.yml"}


def test_a_file_that_does_not_fit_leaves_the_old_one(small_disk: Path) -> None:
    host = LocalHost()
    host.put(str(small_disk / "file"), b"old")
    with pytest.raises(RemoteError, match="no space left on device") as caught:
        host.put(str(small_disk / "file"), os.urandom(2 << 20))
    assert caught.value.hint.endswith(f"df -h {small_disk}")
    assert host.get(str(small_disk / "file")) == b"old"
    assert [path.name for path in small_disk.iterdir()] == ["file"]


def test_a_journal_on_a_full_disk_keeps_its_whole_lines(small_disk: Path) -> None:
    here = site(small_disk)
    operation = here.journal.begin("start", "x")
    (small_disk / "rest").write_bytes(b"x" * _room(small_disk))
    with pytest.raises(SfpError, match="no space left on device"):
        _fill(operation)
    entries = here.journal.entries()
    (small_disk / "rest").unlink()
    operation.record("step", "done", "after")
    assert [entry.what for entry in here.journal.entries()] == [*(entry.what for entry in entries), "after"]


def _fill(operation: Operation) -> None:
    for _ in range(1000):
        operation.record("step", "done", "x" * 500)


def _room(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
