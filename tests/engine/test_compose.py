"""The Compose engine on a real Docker: what its contract does not say."""

import json
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sfp_server.engine.base import Service
from sfp_server.engine.compose import ComposeEngine
from sfp_server.errors import SfpError
from sfp_server.host.dry import DryHost
from sfp_server.host.local import LocalHost
from tests.e2e.machinery.docker import docker, exists, inspect
from tests.fakes import odd_registry
from tests.fakes.compose_bench import ComposeBench
from tests.fakes.toy_bundle import service
from tests.fakes.toy_images import Toys, toy_images
from tests.waiting import eventually

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def toys() -> Iterator[Toys]:
    with toy_images() as made:
        yield made


@pytest.fixture
def bench(toys: Toys, tmp_path: Path) -> Iterator[ComposeBench]:
    with closing(ComposeBench(tmp_path, toys)) as made:
        yield made


def checked(name: str, **more: Any) -> dict[str, Any]:
    return service(name, f"touch {name}.up; exec sleep 1000", check=f"test -e {name}.up", **more)


def slot(key: str) -> dict[str, Any]:
    return checked(key, after=["db"], compose={"profiles": [key]})


def switched() -> list[dict[str, Any]]:
    """Services of which the API has two slots, as a release has them."""
    either = {key: {"condition": "service_healthy", "required": False} for key in ("api-a", "api-b")}
    return [checked("db"), slot("api-a"), slot("api-b"), checked("worker", compose={"depends_on": either})]


def rows(bench: ComposeBench, bundle: str) -> dict[str, Service]:
    return {row.name: row for row in bench.engine.ps(bundle)}


def labelled(kind: str, project: str) -> list[str]:
    every = ["--all"] if kind == "container" else []
    return docker(kind, "ls", *every, "--quiet", "--filter", f"label=com.docker.compose.project={project}").split()


def test_one_slot_serves_and_status_shows_one_service(bench: ComposeBench) -> None:
    bundle = bench.bundle(switched())
    bench.engine.up(bundle)
    found = rows(bench, bundle)
    assert list(found) == ["db", "api", "worker"]
    assert (found["api"].state, found["api"].replicas, found["api"].detail) == ("running", 1, "(a)")
    assert not exists("container", f"{bench.project()}-api-b-1")


def test_a_worker_needs_the_slot_that_serves_and_no_other(bench: ComposeBench) -> None:
    bundle = bench.bundle(switched())
    bench.engine.up(bundle, ["worker"])
    assert rows(bench, bundle)["api"].detail == "(a)"


def test_the_slot_that_requests_go_to_is_started(bench: ComposeBench) -> None:
    bundle = bench.bundle(switched())
    upstream = Path(bundle).parents[1] / "config/caddy/upstream.caddy"
    upstream.parent.mkdir(parents=True)
    upstream.write_text("# Which of the two serves, api-a or api-b.\nto api-b:3029\n")
    bench.engine.up(bundle)
    assert rows(bench, bundle)["api"].detail == "(b)"


def test_a_switch_by_names_of_slots(bench: ComposeBench) -> None:
    bundle = bench.bundle(switched())
    bench.engine.up(bundle)
    bench.engine.up(bundle, ["api-b"])
    assert rows(bench, bundle)["api"].detail in ("(a), (b)", "(b), (a)")
    bench.engine.down(bundle, ["api-a"])
    assert rows(bench, bundle)["api"].detail == "(b)"
    assert bench.engine.exec(bundle, "api", ["hostname"]).stdout
    bench.engine.down(bundle)
    bench.engine.up(bundle)
    assert rows(bench, bundle)["api"].detail == "(b)"


def test_logs_of_a_slot_are_those_of_its_service(bench: ComposeBench) -> None:
    said = service("api-a", "echo hello from $0; exec sleep 1000", compose={"profiles": ["api-a"]})
    bundle = bench.bundle([said, slot("api-b") | {"after": []}])
    bench.engine.up(bundle)
    eventually(lambda: list(bench.engine.logs(bundle, ["api"])))
    (line,) = bench.engine.logs(bundle, ["api"])
    assert line.startswith("api | 20")
    assert line.endswith("Z hello from /bin/sh")


def test_what_runs_and_is_another_image_is_found(bench: ComposeBench, toys: Toys) -> None:
    bench.engine.up(bench.bundle([checked("db"), checked("api")]))
    other = bench.bundle([checked("db"), checked("api", reference=toys.other)])
    (line,) = bench.engine.verify(other)
    assert line.startswith("api runs sha256:")
    assert line.endswith(f"({toys.one}), not {toys.other}")


def test_an_image_that_was_removed_by_its_digest_is_found(bench: ComposeBench) -> None:
    bundle = bench.bundle([checked("db")])
    bench.engine.up(bundle)
    name, digest = bench.image("db").rsplit(":one", 1)
    docker("rmi", "--force", f"{name}{digest}")
    (line,) = bench.engine.verify(bundle)
    assert "not on this machine by its digest" in line


Fetched = Callable[[str], list[str]]


@pytest.fixture
def fetched(bench: ComposeBench, tmp_path: Path) -> Iterator[Fetched]:
    """What is said when a bundle of this one image is fetched. It is gone afterwards."""
    folder = tmp_path / "odd/releases/1"
    folder.mkdir(parents=True)

    def fetch(reference: str) -> list[str]:
        text = f"name: {bench.project('odd')}\nservices:\n  api:\n    image: {reference}\n"
        (folder / "compose.yml").write_text(text)
        return list(bench.engine.fetch(str(folder)))

    yield fetch
    bench.engine.remove(str(folder))


def unseen(architecture: str = "amd64") -> odd_registry.Image:
    """An image that this Docker never had: it would not ask a registry for one that it knows by its digest."""
    return odd_registry.image(architecture, size=5000 + secrets.randbelow(1 << 16))


def test_a_pull_says_how_it_goes_on_and_a_second_is_none(fetched: Fetched) -> None:
    with odd_registry.registry(unseen()) as reference:
        lines = fetched(reference)
    assert any("Pulling from toy" in line for line in lines)
    assert lines[-1] == f"{reference} is here"
    assert fetched(reference) == lines[-1:]


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("other", "is not what its digest says"),
        ("sign-in", "the registry wants a sign-in: 127.0.0.1:"),
        ("unknown", "is not in its registry"),
        ("gone", "the registry went away in the middle of the pull of 127.0.0.1:"),
    ],
)
def test_a_registry_that_goes_wrong(fetched: Fetched, way: str, told: str) -> None:
    with odd_registry.registry(unseen(), way) as reference, pytest.raises(SfpError, match=told) as caught:
        fetched(reference)
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_registry_that_is_not_there(fetched: Fetched) -> None:
    with pytest.raises(SfpError, match=r"the registry does not answer: 127\.0\.0\.1:9/"):
        fetched(f"127.0.0.1:9/toy:1@sha256:{'a' * 64}")


def test_an_image_for_another_machine(fetched: Fetched) -> None:
    with odd_registry.registry(unseen("s390x")) as reference, pytest.raises(SfpError, match="is not made for this"):
        fetched(reference)


def test_an_image_without_a_digest_is_refused(fetched: Fetched) -> None:
    with odd_registry.registry(unseen()) as reference, pytest.raises(SfpError, match="is not pinned by a digest"):
        fetched(reference.partition("@")[0])


def test_a_port_that_is_taken(bench: ComposeBench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        bundle = bench.bundle([checked("api", compose={"ports": [f"127.0.0.1:{port}:80"]})])
        with pytest.raises(SfpError, match=f"^port {port} is taken.$") as caught:
            bench.engine.up(bundle)
    assert str(port) in caught.value.hint
    bench.engine.up(bundle)


def test_a_program_that_is_not_there(bench: ComposeBench) -> None:
    bundle = bench.bundle([checked("api") | {"argv": ["/no/such"], "compose": {"init": False}}])
    with pytest.raises(SfpError, match=r"api was not started: .*no such file or directory"):
        bench.engine.up(bundle)


def test_problems_name_what_compose_refuses(bench: ComposeBench, tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text("name: x\nservices:\n  api:\n    image: r/api\n    nonsense: 1\n")
    (line,) = bench.engine.problems(str(tmp_path))
    assert "nonsense" in line


@pytest.mark.parametrize("delay", [0.25, 0.6, 1.0, 1.6])
def test_what_a_killed_start_left_is_met(bench: ComposeBench, delay: float) -> None:
    services = [checked("db"), checked("api", after=["db"]), checked("worker", after=["api"])]
    bench.engine.up(bench.bundle(services, env={"api": "COLOUR=red\n"}))
    bundle = bench.bundle(services, env=dict.fromkeys(("db", "api", "worker"), "COLOUR=blue\n"))
    line = (
        "import sys; from sfp_server.engine.compose import ComposeEngine; "
        "from sfp_server.host.local import LocalHost; ComposeEngine(LocalHost()).up(sys.argv[1])"
    )
    start = subprocess.Popen([sys.executable, "-c", line, bundle], stderr=subprocess.DEVNULL)
    try:
        start.wait(delay)
    except subprocess.TimeoutExpired:
        start.send_signal(signal.SIGKILL)
        start.wait()
    bench.engine.up(bundle)
    assert {row.state for row in bench.engine.ps(bundle)} == {"running"}
    assert bench.engine.exec(bundle, "worker", ["sh", "-c", "echo $COLOUR"]).stdout == "blue\n"
    assert len(labelled("container", bench.project())) == 3
    assert len(labelled("network", bench.project())) == 1


def test_what_is_removed_is_all_that_is_the_instances(bench: ComposeBench, toys: Toys) -> None:
    bundle, other = bench.bundle([checked("db")]), bench.bundle([checked("db")], instance="two")
    bench.engine.up(bundle)
    bench.engine.up(other)
    project = bench.project()
    tenant, sandbox = f"sfp.tenant={project.removeprefix('sfp-')}", f"{project}-sandbox"
    docker("network", "create", "--label", tenant, sandbox)
    docker("run", "--detach", "--name", sandbox, "--network", sandbox, "--label", tenant, toys.one, "sleep", "1000")
    bench.engine.remove(bundle)
    assert not exists("container", sandbox)
    assert not exists("network", sandbox)
    assert [found for kind in ("container", "network", "volume") for found in labelled(kind, project)] == []
    assert rows(bench, other)["db"].health == "healthy"
    assert bench.engine.verify(other) == []


def test_the_last_instance_takes_its_images_along(bench: ComposeBench, toys: Toys) -> None:
    bundle = bench.bundle([checked("db")])
    bench.engine.up(bundle)
    bench.engine.remove(bundle)
    assert not exists("image", toys.one)


def test_a_full_stop_ends_what_the_bundle_does_not_know(bench: ComposeBench) -> None:
    bench.engine.up(bench.bundle([checked("db"), checked("old")]))
    bundle = bench.bundle([checked("db")])
    bench.engine.down(bundle, timeout=0)
    assert not inspect("container", f"{bench.project()}-old-1")["State"]["Running"]


def test_logs_can_be_read_after_a_stop(bench: ComposeBench) -> None:
    bundle = bench.bundle([service("db", "echo last words; exec sleep 1000")])
    bench.engine.up(bundle)
    bench.engine.down(bundle, timeout=0)
    assert [line.split("Z ")[1] for line in bench.engine.logs(bundle)] == ["last words"]


def test_a_dry_run_says_what_a_first_start_would_do(bench: ComposeBench, tmp_path: Path) -> None:
    said: list[str] = []
    engine = ComposeEngine(DryHost(LocalHost(), said.append), LocalHost())
    folder = str(tmp_path / "tenants/acme/releases/1")
    engine.up(folder, ["postgres", "redis"])
    engine.run_once(folder, "migrate", ["--apply"])
    compose = f"docker compose --project-name sfp-acme --project-directory {folder} --file {folder}/compose.yml"
    assert len(said) == 2
    assert f"{compose} up --detach --no-build --pull never --wait --wait-timeout 10 postgres redis" in said[0]
    assert said[1].endswith(f"{compose} --progress quiet run --rm --no-deps -T migrate --apply")


def test_a_dry_run_changes_nothing(bench: ComposeBench) -> None:
    said: list[str] = []
    engine = ComposeEngine(DryHost(LocalHost(), said.append), LocalHost())
    bundle = bench.bundle([checked("db")])
    bench.engine.up(bundle)
    engine.down(bundle)
    engine.remove(bundle)
    assert any(" stop --timeout 30 db" in line for line in said)
    assert any("docker volume rm" in line for line in said)
    assert rows(bench, bundle)["db"].health == "healthy"


def test_somebodys_environment_is_not_meant(bench: ComposeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = bench.bundle([checked("db"), service("migrate", job=True)])
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "other")
    monkeypatch.setenv("COMPOSE_FILE", "/no/such.yml")
    monkeypatch.setenv("COMPOSE_PROFILES", "job")
    bench.engine.up(bundle)
    found = [inspect("container", id)["Name"] for id in labelled("container", bench.project())]
    assert found == [f"/{bench.project()}-db-1"], json.dumps(found)
