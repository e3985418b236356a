"""The supervisor under what happens to it: killed, started twice, left alone, run by others."""

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sfp_server.engine.supervisor import processes
from tests.engine.ordinary import OrdinaryUser
from tests.fakes import toy_bundle
from tests.fakes.toy_bundle import service
from tests.waiting import eventually

SUPERVISOR = ["-m", "sfp_server.engine.supervisor"]


class Toy:
    """An instance of toy services, and its supervisor's command line. `python` is how Python is called."""

    def __init__(self, base: Path, python: Sequence[str] = (sys.executable,)) -> None:
        self.base = base
        self.run = base / "run"
        self._bundle = base / "release"
        self._python = python

    def write(self, services: Sequence[dict[str, Any]], **env: str) -> None:
        toy_bundle.write(self._bundle, services, base=self.base, env=env)

    def call(self, verb: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        argv = [*self._python, *SUPERVISOR, verb, "--bundle", str(self._bundle), *(str(part) for part in arguments)]
        return subprocess.run(argv, capture_output=True, text=True, cwd="/", timeout=60)

    def must(self, verb: str, *arguments: object) -> str:
        done = self.call(verb, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ps(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.must("ps"))
        return document

    def row(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(row for row in self.ps()["services"] if row["name"] == name)
        return found

    def processes(self) -> list[processes.Stat]:
        """Every process of this instance's services, wherever it went."""
        return processes.marked(f"SUPERVISOR_RUN={self.run}")

    def supervisors(self) -> list[str]:
        """The command lines of this instance's daemons and guards."""
        listed = subprocess.run(["ps", "axww", "-o", "args="], capture_output=True, text=True, check=True).stdout
        return [line for line in listed.splitlines() if f"--run {self.run} " in line]


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    made = Toy(tmp_path)
    made.write([service("db", check="true"), service("api", check="true", after=["db"])])
    yield made
    made.call("down", "--timeout", 0)
    assert made.processes() == []


def kill(pid: int | None) -> None:
    os.kill(pid or 0, signal.SIGKILL)


def test_a_killed_daemon_is_replaced_and_its_services_come_back(toy: Toy) -> None:
    toy.must("up")
    before = toy.ps()
    kill(before["daemon"])
    after = toy.ps()
    assert after["daemon"] == before["guard"]
    eventually(lambda: [row["health"] for row in toy.ps()["services"]] == ["healthy", "healthy"])
    old = {row["pid"] for row in before["services"]}
    assert not old & {process.pid for process in toy.processes()}


def test_a_killed_guard_is_replaced_and_services_go_on(toy: Toy) -> None:
    toy.must("up")
    before = toy.ps()
    kill(before["guard"])
    eventually(lambda: toy.ps()["guard"] not in (before["guard"], 0, None))
    assert [row["pid"] for row in toy.ps()["services"]] == [row["pid"] for row in before["services"]]
    kill(toy.ps()["daemon"])
    eventually(lambda: toy.ps()["daemon"] not in (None, before["daemon"]))


def test_up_heals_when_both_were_killed(toy: Toy) -> None:
    toy.must("up")
    state = toy.ps()
    kill(state["guard"])
    kill(state["daemon"])
    eventually(lambda: toy.supervisors() == [])
    assert toy.row("db")["state"] == "exited"
    assert "its supervisor was killed" in toy.row("db")["detail"]
    toy.must("up", "db")
    assert [row["state"] for row in toy.ps()["services"]] == ["running", "absent"]


def test_down_cleans_up_when_both_were_killed(toy: Toy) -> None:
    toy.write([service("db", "setsid sleep 1000 & exec sleep 1000")])
    toy.must("up")
    state = toy.ps()
    kill(state["guard"])
    kill(state["daemon"])
    eventually(lambda: toy.supervisors() == [])
    toy.must("down")
    assert toy.processes() == []
    assert toy.row("db")["state"] == "absent"


def test_a_service_that_was_stopped_stays_so_when_the_daemon_is_killed(toy: Toy) -> None:
    toy.must("up")
    toy.must("down", "api")
    kill(toy.ps()["daemon"])
    eventually(lambda: toy.row("db")["health"] == "healthy")
    assert toy.row("api")["state"] == "absent"


def test_nothing_that_a_service_started_is_left_after_down(toy: Toy) -> None:
    toy.write([service("db", "setsid sleep 1000 & (setsid sleep 1001 &) ; (sleep 1002 &) ; touch up; exec sleep 1000")])
    toy.must("up")
    eventually(lambda: len(toy.processes()) == 4)
    toy.must("down")
    assert toy.processes() == []
    assert toy.supervisors() == []


def test_what_hides_its_mark_is_ended_too(toy: Toy) -> None:
    toy.write([service("db", "env -i setsid sh -c 'echo $$ > hidden; exec sleep 1000' & exec sleep 1000")])
    toy.must("up")
    eventually((toy.run / "hidden").exists)
    eventually(lambda: (toy.run / "hidden").read_text() != "")
    hidden = processes.stat(int((toy.run / "hidden").read_text()))
    toy.must("down")
    assert hidden is None or not processes.is_same(hidden)


def test_what_a_dead_service_left_ends_before_it_starts_again(toy: Toy) -> None:
    toy.write([service("db", "setsid sleep 1000 & echo $$ > pid; exec sleep 1000", check="test -e pid")])
    toy.must("up")
    eventually(lambda: len(toy.processes()) == 2)
    first = {process.pid for process in toy.processes()}
    kill(int((toy.run / "pid").read_text()))
    eventually(lambda: len(toy.processes()) == 2 and not first & {process.pid for process in toy.processes()})


def test_a_service_that_keeps_dying_is_tried_ever_less_often(toy: Toy) -> None:
    toy.write([service("db", "date +%s%N >> tries; exit 4")])
    toy.call("up", "--timeout", 20)
    eventually(lambda: len((toy.run / "tries").read_text().split()) >= 5)
    at = [int(line) / 1e9 for line in (toy.run / "tries").read_text().split()]
    pauses = [later - earlier for earlier, later in itertools.pairwise(at)][:4]
    assert all(pause >= least for pause, least in zip(pauses, (0.1, 0.2, 0.4, 0.8), strict=True)), pauses
    assert toy.row("db")["state"] == "exited"
    assert toy.row("db")["detail"] == "ended with code 4"


def test_a_program_that_does_not_exist_is_an_error_of_up(toy: Toy) -> None:
    toy.write([{**service("db"), "argv": ["/no/such/program"]}])
    assert json.loads(toy.must("problems"))["items"] == ["db: there is no program /no/such/program"]
    failed = toy.call("up", "--timeout", 10)
    assert failed.returncode == 1
    assert "cannot be started" in json.loads(failed.stdout)["error"]


def test_services_survive_the_terminal(toy: Toy) -> None:
    """`script` gives the command a terminal of its own, which hangs up when it ends."""
    if not shutil.which("script"):
        pytest.skip("there is no `script` to make a terminal")
    up = " ".join([sys.executable, *SUPERVISOR, "up", "--bundle", str(toy.base / "release")])
    subprocess.run(["script", "-qec", up, "/dev/null"], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    assert toy.row("db")["health"] == "healthy"


def test_an_interrupted_up_leaves_services_that_down_ends(toy: Toy) -> None:
    toy.write([service("db", "touch began; exec sleep 1000", check="false")])
    command = subprocess.Popen(
        [sys.executable, *SUPERVISOR, "up", "--bundle", str(toy.base / "release")], stdout=subprocess.DEVNULL
    )
    eventually((toy.run / "began").exists)
    command.send_signal(signal.SIGINT)
    assert command.wait(10) == 130
    toy.must("down")
    assert toy.processes() == []


def test_a_terminated_daemon_stops_its_services_in_order(toy: Toy) -> None:
    toy.must("up")
    os.kill(toy.ps()["daemon"], signal.SIGTERM)
    eventually(lambda: toy.supervisors() == [])
    assert toy.processes() == []
    assert toy.row("db")["state"] == "absent"


def test_files_of_a_service_restart_it_when_they_change(toy: Toy) -> None:
    secrets = toy.base / "secrets"
    secrets.mkdir()
    (secrets / "password").write_text("one")
    services = [service("db", files=[str(secrets)]), service("api", after=["db"])]
    toy.write(services)
    toy.must("up")
    before = {row["name"]: row["pid"] for row in toy.ps()["services"]}
    (secrets / "password").write_text("two")
    toy.must("up")
    after = {row["name"]: row["pid"] for row in toy.ps()["services"]}
    assert after["db"] != before["db"]
    assert after["api"] == before["api"]


def test_the_callers_environment_stays_with_the_caller(toy: Toy) -> None:
    toy.write([service("db", "env > seen; touch up; exec sleep 1000", check="test -e up")], db="OWN=yes\n")
    argv = [sys.executable, *SUPERVISOR, "up", "--bundle", str(toy.base / "release")]
    subprocess.run(argv, env={**os.environ, "SOME_TOKEN": "secret"}, check=True, timeout=60)
    seen = (toy.run / "seen").read_text()
    assert "OWN=yes" in seen
    assert "SFP_SERVICE=toy/db" in seen
    assert "SOME_TOKEN" not in seen


def test_a_run_folder_of_somebody_else_is_refused(toy: Toy) -> None:
    (toy.base / "elsewhere").mkdir()
    toy.run.symlink_to(toy.base / "elsewhere")
    failed = toy.call("up")
    assert failed.returncode == 1
    assert "is not a folder of yours" in failed.stderr
    toy.run.unlink()


def test_a_long_run_folder_is_one_clear_error(tmp_path: Path) -> None:
    toy = Toy(tmp_path / ("long" * 30))
    toy.write([service("db")])
    assert "too long for a socket" in toy.call("up").stderr


def test_ps_is_quick(toy: Toy) -> None:
    """Measured in processor time, for the machine may have other work."""
    toy.must("up")
    times = []
    for _ in range(5):
        began = os.times()
        toy.must("ps")
        ended = os.times()
        times.append(ended.children_user + ended.children_system - began.children_user - began.children_system)
    assert min(times) < 0.15


def test_only_the_standard_library_is_loaded(toy: Toy) -> None:
    program = (
        "import sys; from sfp_server.engine.supervisor import __main__, daemon, guard, statistics; "
        "print({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'sfp_server', '__main__'})"
    )
    ran = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, cwd=Path.cwd())
    assert ran.stdout.strip() in ("set()", "{'__mp_main__'}"), ran.stderr


def test_it_works_for_an_ordinary_user(ordinary: OrdinaryUser) -> None:
    toy = Toy(ordinary.base, ordinary.command)
    toy.write([service("db", "id -u > uid; exec sleep 1000", check="test -e uid")])
    try:
        toy.must("up")
        assert (toy.run / "uid").read_text() == f"{ordinary.uid}\n"
        kill(toy.ps()["daemon"])
        eventually(lambda: toy.row("db")["health"] == "healthy")
    finally:
        toy.call("down", "--timeout", 0)
    assert toy.processes() == []


@pytest.mark.fault
def test_any_sequence_of_deaths_heals(toy: Toy) -> None:
    """Daemon, guard and services are killed at random, 15 times; nothing is doubled, everything is back."""
    chance = random.Random(int(os.environ.get("SEED", "7")))
    toy.must("up")
    for _ in range(15):
        state = toy.ps()
        victims = [state["daemon"], state["guard"], *(row["pid"] for row in state["services"])]
        for pid in chance.sample([pid for pid in victims if pid], chance.randint(1, 2)):
            kill_if_there(pid)
        toy.must("up")
        eventually(lambda: {row["pid"] for row in toy.ps()["services"]} == {found.pid for found in toy.processes()})
        eventually(lambda: len(toy.supervisors()) == 2)


def kill_if_there(pid: int) -> None:
    found = processes.stat(pid)
    processes.kill([found] if found else [])
