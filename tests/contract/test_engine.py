"""What every engine does with a bundle. An engine joins by a bench: how its bundles of toy services are written."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pytest

from sfp_server.engine.base import Engine, Service
from sfp_server.engine.embedded import EmbeddedEngine
from sfp_server.errors import SfpError
from sfp_server.host.local import LocalHost
from tests.fakes import toy_bundle
from tests.fakes.compose_bench import ComposeBench
from tests.fakes.toy_bundle import service
from tests.waiting import eventually


class Bench(Protocol):
    """An engine, and instances to try it on."""

    engine: Engine

    def bundle(
        self, services: Sequence[dict[str, Any]], *, instance: str = "one", env: Mapping[str, str] | None = None
    ) -> str:
        """Write a release of an instance; what its services write to their working folder is under `files`."""
        ...

    def files(self, instance: str = "one") -> Path: ...

    def put_data(self, bundle: str) -> None:
        """Let the instance's services have written data."""
        ...

    def has_data(self, bundle: str) -> bool: ...

    def image(self, name: str) -> str:
        """What a service of this name runs, as `ps` says."""
        ...

    def close(self) -> None: ...


class EmbeddedBench:
    def __init__(self, base: Path) -> None:
        self.engine: Engine = EmbeddedEngine(LocalHost(), sys.executable)
        self._base = base
        self._written: list[str] = []
        self._last: dict[str, str] = {}

    def bundle(
        self, services: Sequence[dict[str, Any]], *, instance: str = "one", env: Mapping[str, str] | None = None
    ) -> str:
        folder = self._base / instance / "releases" / str(len(self._written))
        self._written.append(str(toy_bundle.write(folder, services, base=self._base / instance, env=env)))
        self._last[instance] = self._written[-1]
        return self._written[-1]

    def files(self, instance: str = "one") -> Path:
        return self._base / instance / "run"

    def put_data(self, bundle: str) -> None:
        self._data(bundle).mkdir()

    def has_data(self, bundle: str) -> bool:
        return self._data(bundle).exists()

    def image(self, name: str) -> str:
        return f"{name} 1"

    def close(self) -> None:
        for bundle in self._last.values():
            self.engine.down(bundle, timeout=0)

    def _data(self, bundle: str) -> Path:
        return Path(bundle).parents[1] / "data"


def _embedded(request: pytest.FixtureRequest, base: Path) -> Bench:
    return EmbeddedBench(base)


def _compose(request: pytest.FixtureRequest, base: Path) -> Bench:
    return ComposeBench(base, request.getfixturevalue("toys"))


@pytest.fixture(params=[_embedded, pytest.param(_compose, marks=pytest.mark.e2e)], ids=["embedded", "compose"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with closing(request.param(request, tmp_path)) as made:
        yield made


# A service that counts its starts and is healthy once it has.
COUNTED = "echo started >> {0}.starts; echo $$ > {0}.pid; exec sleep 1000"


def counted(name: str, **more: Any) -> dict[str, Any]:
    return service(name, COUNTED.format(name), check=f"test -e {name}.starts", **more)


def starts(bench: Bench, name: str, instance: str = "one") -> int:
    path = bench.files(instance) / f"{name}.starts"
    return len(path.read_text().splitlines()) if path.exists() else 0


def row(bench: Bench, bundle: str, name: str) -> Service:
    return next(found for found in bench.engine.ps(bundle) if found.name == name)


def is_healthy(bench: Bench, bundle: str, name: str) -> bool:
    found = row(bench, bundle, name)
    return found.state == "running" and found.health in ("healthy", "none")


def test_nothing_runs_before_up(bench: Bench) -> None:
    bundle = bench.bundle([service("db"), service("api", after=["db"])])
    assert [(row.name, row.state, row.health, row.uptime) for row in bench.engine.ps(bundle)] == [
        ("db", "absent", "none", 0),
        ("api", "absent", "none", 0),
    ]


def test_up_starts_in_order_and_returns_when_all_are_healthy(bench: Bench) -> None:
    db = service("db", "sleep 0.3; touch ready; exec sleep 1000", check="test -e ready")
    api = service("api", "test -e ready && touch in-order; exec sleep 1000", check="test -e in-order", after=["db"])
    bundle = bench.bundle([api, db])
    bench.engine.up(bundle)
    assert [(row.name, row.state, row.health, row.image) for row in bench.engine.ps(bundle)] == [
        ("api", "running", "healthy", bench.image("api")),
        ("db", "running", "healthy", bench.image("db")),
    ]


def test_up_of_one_starts_what_it_comes_after_and_no_more(bench: Bench) -> None:
    bundle = bench.bundle([counted("db"), counted("api", after=["db"]), counted("worker", after=["api"])])
    bench.engine.up(bundle, ["api"])
    assert [row.state for row in bench.engine.ps(bundle)] == ["running", "running", "absent"]


def test_a_job_is_not_started(bench: Bench) -> None:
    bundle = bench.bundle([counted("db"), service("migrate", "echo ran", after=["db"], job=True)])
    bench.engine.up(bundle)
    assert [row.name for row in bench.engine.ps(bundle)] == ["db"]


def test_up_fails_with_the_log_of_a_service_that_never_becomes_healthy(bench: Bench) -> None:
    sick = service("api", "echo settings: URL is missing; exec sleep 1000", check="echo no answer; exit 1")
    sick["health"]["start_period"] = 0.5
    with pytest.raises(SfpError, match=r"api did not become healthy[^$]*api \| settings: URL is missing"):
        bench.engine.up(bench.bundle([counted("db"), sick]), timeout=20)


def test_up_gives_its_answer_when_its_time_is_over(bench: Bench) -> None:
    slow = service("api", check="exit 1")
    slow["health"]["start_period"] = 600
    with pytest.raises(SfpError, match=r"api did not become healthy in 0\.5 s"):
        bench.engine.up(bench.bundle([slow]), timeout=0.5)


def test_up_fails_with_the_log_of_a_service_that_does_not_stay_up(bench: Bench) -> None:
    broken = service("api", "echo cannot read settings >&2; exit 3", check="exit 1")
    with pytest.raises(SfpError, match=r"api [^$]*code 3[^$]*api \| cannot read settings"):
        bench.engine.up(bench.bundle([broken]), timeout=20)


def test_what_dies_is_started_again(bench: Bench) -> None:
    bundle = bench.bundle([counted("db"), counted("api", after=["db"])])
    bench.engine.up(bundle)
    assert bench.engine.exec(bundle, "db", ["sh", "-c", "kill -9 $(cat db.pid)"]).ok
    eventually(lambda: starts(bench, "db") == 2 and is_healthy(bench, bundle, "db"))
    assert starts(bench, "api") == 1


def test_a_second_caller_at_the_same_time_finds_the_same_services(bench: Bench) -> None:
    bundle = bench.bundle([counted("db"), counted("api", after=["db"])])
    with ThreadPoolExecutor(4) as callers:
        for _ in callers.map(lambda _: bench.engine.up(bundle), range(4)):
            pass
    assert (starts(bench, "db"), starts(bench, "api")) == (1, 1)


def test_up_again_changes_nothing(bench: Bench) -> None:
    services = [counted("db"), counted("api", after=["db"])]
    bench.engine.up(bench.bundle(services))
    bench.engine.up(bench.bundle(services))
    assert (starts(bench, "db"), starts(bench, "api")) == (1, 1)


def test_up_with_other_settings_restarts_only_whom_they_concern(bench: Bench) -> None:
    services = [counted("db"), counted("api", after=["db"]), counted("worker", after=["api"])]
    bench.engine.up(bench.bundle(services, env={"api": "COLOUR=red\n"}))
    changed = bench.bundle(services, env={"api": "COLOUR=blue\n"})
    bench.engine.up(changed)
    assert [starts(bench, name) for name in ("db", "api", "worker")] == [1, 2, 1]
    assert bench.engine.exec(changed, "api", ["sh", "-c", "echo $COLOUR"]).stdout == "blue\n"


def test_up_of_one_leaves_the_others_as_they_were(bench: Bench) -> None:
    services = [counted("db"), counted("api", after=["db"])]
    bench.engine.up(bench.bundle(services))
    bench.engine.up(bench.bundle(services, env={"db": "A=1\n", "api": "A=1\n"}), ["db"])
    assert (starts(bench, "db"), starts(bench, "api")) == (2, 1)


def test_a_service_that_the_bundle_no_longer_has_is_stopped(bench: Bench) -> None:
    before = bench.bundle([counted("db"), counted("old")])
    bench.engine.up(before)
    bench.engine.up(bench.bundle([counted("db")]))
    eventually(lambda: row(bench, before, "old").state == "absent")
    assert starts(bench, "db") == 1


def test_down_stops_in_reverse_order_and_again_does_nothing(bench: Bench) -> None:
    stops = "trap 'echo {0} >> stops; exit 0' TERM; touch {0}.starts; while :; do sleep 0.05; done"
    services = [
        service(name, stops.format(name), check=f"test -e {name}.starts", after=after)
        for name, after in (("db", []), ("api", ["db"]), ("worker", ["api"]))
    ]
    bundle = bench.bundle(services)
    bench.engine.up(bundle)
    bench.engine.down(bundle)
    assert (bench.files() / "stops").read_text().split() == ["worker", "api", "db"]
    assert {row.state for row in bench.engine.ps(bundle)} == {"absent"}
    bench.engine.down(bundle)


def test_down_of_one_leaves_the_others(bench: Bench) -> None:
    bundle = bench.bundle([counted("db"), counted("api", after=["db"])])
    bench.engine.up(bundle)
    bench.engine.down(bundle, ["api"])
    assert [row.state for row in bench.engine.ps(bundle)] == ["running", "absent"]
    bench.engine.up(bundle)
    assert (starts(bench, "db"), starts(bench, "api")) == (1, 2)


def test_down_kills_what_does_not_listen(bench: Bench) -> None:
    deaf = "trap '' TERM; touch up; while :; do sleep 0.05; done"
    bundle = bench.bundle([service("deaf", deaf, check="test -e up")])
    bench.engine.up(bundle)
    bench.engine.down(bundle, timeout=0.3)
    assert row(bench, bundle, "deaf").state == "absent"


def test_down_before_anything_ran(bench: Bench) -> None:
    bench.engine.down(bench.bundle([service("db")]))


def test_logs_are_the_last_lines_of_each(bench: Bench) -> None:
    talker = "for n in 1 2 3 4; do echo {0} says $n; done; touch {0}.said; exec sleep 1000"
    bundle = bench.bundle([service(name, talker.format(name), check=f"test -e {name}.said") for name in ("db", "api")])
    bench.engine.up(bundle)
    eventually(lambda: len(list(bench.engine.logs(bundle, ["api"], tail=2))) == 2)
    lines = list(bench.engine.logs(bundle, tail=2))
    assert sorted((line.split(" | ")[0], line.rsplit(" ", 1)[1]) for line in lines) == [
        ("api", "3"), ("api", "4"), ("db", "3"), ("db", "4"),
    ]  # fmt: skip


def test_logs_can_be_followed(bench: Bench) -> None:
    bundle = bench.bundle([service("db", "while :; do test -e go && echo line $((n=n+1)); sleep 0.05; done")])
    bench.engine.up(bundle)
    with closing(bench.engine.logs(bundle, ["db"], follow=True)) as lines:  # type: ignore[type-var]
        (bench.files() / "go").touch()
        assert [next(lines).split()[-2:] for _ in range(3)] == [["line", "1"], ["line", "2"], ["line", "3"]]


def test_a_job_runs_once_in_its_settings(bench: Bench) -> None:
    line = 'echo "$COLOUR $0 $*"; echo warning >&2; exit 7'
    job = service("migrate", line, job=True)
    bundle = bench.bundle([job], env={"migrate": "COLOUR=red or green\n"})
    ran = bench.engine.run_once(bundle, "migrate", ["--apply", "--phase", "pre"])
    assert (ran.code, ran.stdout, ran.stderr) == (7, "red or green --apply --phase pre\n", "warning\n")


def test_exec_needs_a_running_service(bench: Bench) -> None:
    bundle = bench.bundle([service("db"), service("api")], env={"db": "COLOUR=red\n"})
    bench.engine.up(bundle, ["db"])
    assert bench.engine.exec(bundle, "db", ["sh", "-c", "echo $COLOUR; exit 3"]).code == 3
    refused = bench.engine.exec(bundle, "api", ["true"])
    assert not refused.ok
    assert "api is not running" in refused.stderr


def test_statistics_are_given_where_asked(bench: Bench) -> None:
    bundle = bench.bundle([service("busy", "while :; do :; done"), service("off")])
    bench.engine.up(bundle, ["busy"])
    busy, off = bench.engine.ps(bundle, stats=True)
    assert (busy.cpu or 0) > 0.05
    assert (busy.memory or 0) > 50_000
    assert (off.cpu, off.memory) == (None, None)
    assert bench.engine.ps(bundle)[0].cpu is None


@pytest.mark.parametrize("keep", [True, False])
def test_remove_leaves_nothing_but_data_that_is_kept(bench: Bench, keep: bool) -> None:
    bundle = bench.bundle([counted("db")])
    bench.engine.up(bundle)
    bench.put_data(bundle)
    bench.engine.remove(bundle, keep_data=keep)
    assert row(bench, bundle, "db").state == "absent"
    assert bench.has_data(bundle) is keep
    bench.engine.remove(bundle, keep_data=keep)


def test_two_instances_stand_side_by_side(bench: Bench) -> None:
    first = bench.bundle([counted("db")], instance="one")
    second = bench.bundle([counted("db")], instance="two")
    bench.engine.up(first)
    bench.engine.up(second)
    bench.engine.down(first)
    assert row(bench, first, "db").state == "absent"
    assert is_healthy(bench, second, "db")
    assert starts(bench, "db", "two") == 1


def test_what_is_fetched_is_what_runs(bench: Bench) -> None:
    bundle = bench.bundle([counted("db"), service("migrate", job=True)])
    assert all("\n" not in line for line in bench.engine.fetch(bundle))
    assert bench.engine.verify(bundle) == []
    bench.engine.up(bundle)
    assert bench.engine.verify(bundle) == []


def test_no_problems_where_all_is_well(bench: Bench) -> None:
    assert bench.engine.problems(bench.bundle([service("db")])) == []


def test_an_unknown_service_is_named_with_those_there_are(bench: Bench) -> None:
    with pytest.raises(SfpError, match="there is no service dp") as caught:
        bench.engine.up(bench.bundle([service("db")]), ["dp"])
    assert "db" in caught.value.hint
