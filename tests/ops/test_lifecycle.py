"""Start, stop, destroy and migrate on the toy engine: real processes, a real host, a real folder."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sfp_server.errors import CheckError, LockedError, RemoteError, SfpError
from sfp_server.ops import lifecycle
from sfp_server.ops.lock import held
from sfp_server.ops.site import Site, look
from tests.fakes.toy_site import SERVICES, Lines, Toy, bundle, site


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    if (tmp_path / "tenants/demo").exists():
        lifecycle.destroy(site(tmp_path))


def test_a_start_brings_everything_up_in_order_and_links_the_release(base: Path) -> None:
    here = site(base)
    assert lifecycle.start(here).changed
    seen = look(here)
    assert seen.status == "running"
    assert [service.name for service in seen.services] == list(SERVICES)
    assert os.readlink(here.instance.current) == f"releases/{_name(Toy())}"
    assert _done(here) == ["check", "render", "engine", "data", "migrate", "services", "verify", "current"]
    assert _read(here, "data/migrated") == "--apply\n"


def test_secrets_are_private_and_stand_in_no_public_file(base: Path) -> None:
    here = site(base)
    lifecycle.start(here)
    key = here.instance.secrets / "api/signing-key"
    assert (key.read_text(), key.stat().st_mode & 0o777, key.parent.stat().st_mode & 0o777) == (
        "hush-hush",
        0o400,
        0o700,
    )
    public = [path for path in here.instance.folder.rglob("*") if path.is_file() and path != key]
    assert not [path for path in public if b"hush-hush" in path.read_bytes()]


def test_a_start_of_what_runs_changes_nothing(base: Path) -> None:
    lifecycle.start(site(base))
    before = _tree(base)
    again = site(base)
    assert not lifecycle.start(again).changed
    assert _tree(base) == before
    assert _lines(again) == []


def test_a_start_brings_back_what_died(base: Path) -> None:
    lifecycle.start(site(base))
    here = site(base)
    here.engine.down(str(here.instance.current), ["api"])
    assert look(here).status == "partial"
    assert lifecycle.start(here).changed
    assert look(here).status == "running"


def test_a_changed_setting_is_applied_to_what_runs(base: Path) -> None:
    lifecycle.start(site(base))
    changed = Toy({"api": {"version": 2}})
    lifecycle.start(site(base, changed))
    services = {service.name: service.image for service in look(site(base)).services}
    assert (services["api"], services["postgres"]) == ("sleep 2", "sleep 1")
    assert os.readlink(site(base).instance.current) == f"releases/{_name(changed)}"


def test_a_restart_stops_and_starts(base: Path) -> None:
    lifecycle.start(site(base))
    here = site(base)
    pid = here.engine._pid("api")  # type: ignore[attr-defined]
    assert lifecycle.start(here, restart=True).changed
    assert _done(here)[:3] == ["drain", "stop", "check"]
    assert here.engine._pid("api") != pid  # type: ignore[attr-defined]


def test_a_start_that_fails_stops_what_it_started_and_names_the_service_with_its_words(base: Path) -> None:
    here = site(base, Toy({"api": {"fails": "database.url: not a URL"}}))
    with pytest.raises(RemoteError, match="demo was not started: api did not become healthy") as caught:
        lifecycle.start(here)
    assert caught.value.hint.endswith("sfp server logs")
    assert _lines(here)[-4:] == [
        "failed services: api did not become healthy in 1 s",
        "note api | database.url: not a URL",
        "begin back",
        "done back: stopped what this start had started",
    ]
    assert not [service for service in here.watching.ps(_release(here)) if service.state == "running"]
    assert not here.instance.current.exists()
    states = [(entry.step, entry.state) for entry in here.journal.entries()]
    assert states[-4:] == [("services", "failed"), ("data", "undone"), ("render", "undone"), ("", "failed")]


def test_a_start_that_fails_leaves_what_ran_as_it_was(base: Path) -> None:
    lifecycle.start(site(base))
    here = site(base, Toy({"api": {"version": 2}, "launcher": {"fails": "no luck"}}))
    with pytest.raises(RemoteError):
        lifecycle.start(here)
    seen = look(site(base))
    assert seen.status == "running"
    assert {service.image for service in seen.services} == {"sleep 1"}
    assert seen.linked == f"releases/{_name(Toy())}"


def test_past_a_new_schema_there_is_no_way_back_but_forward(base: Path) -> None:
    lifecycle.start(site(base))
    with pytest.raises(RemoteError):
        lifecycle.start(site(base, Toy({"launcher": {"fails": "no luck"}}, schema=2)))
    assert look(site(base)).status == "partial"
    lifecycle.start(site(base, Toy(schema=2)))
    assert look(site(base)).status == "running"


def test_what_serves_another_version_is_refused(base: Path) -> None:
    here = site(base, Toy(serves="0.9.0"))
    with pytest.raises(CheckError, match=r"release is 0\.9\.0, not 1\.0\.0"):
        lifecycle.start(here)
    assert look(here).status == "stopped"


def test_a_migration_that_fails_is_shown_and_undoes_the_start(base: Path) -> None:
    here = site(base, Toy(migrate="(echo first; echo relation does not exist) >&2; exit 1"))
    with pytest.raises(RemoteError, match="demo was not started: migrate failed: relation does not exist"):
        lifecycle.start(here)
    assert "note migrate | first" in _lines(here)
    assert look(here).status == "stopped"


def test_what_the_engine_finds_in_the_way_is_told_before_anything_runs(base: Path) -> None:
    here = site(base, Toy(problems="no redis-server here: apt-get install redis-server"))
    with pytest.raises(CheckError, match="no redis-server here"):
        lifecycle.start(here)
    assert "begin data" not in _lines(here)


def test_a_failed_check_writes_nothing(base: Path) -> None:
    here = site(base)
    here.instance.secrets_file.chmod(0o644)
    with pytest.raises(CheckError, match=r"secrets\.yml can be read by others \(mode 0644\)") as caught:
        lifecycle.start(here)
    assert (caught.value.exit_code, caught.value.hint) == (
        3,
        f"Make it yours alone: chmod 600 {here.instance.secrets_file}",
    )
    assert sorted(path.name for path in here.instance.folder.iterdir()) == ["lock", "secrets.yml", "server.yml"]
    here.instance.secrets_file.chmod(0o600)


def test_a_port_that_is_taken_names_who_has_it(base: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(CheckError, match=rf"port {port} on this machine is taken by .+ \(pid {os.getpid()}\)"):
            lifecycle.start(site(base, Toy(ports={port: "The API"})))


def test_its_own_port_is_not_taken(base: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ports = {server.getsockname()[1]: "The API"}
        first = site(base, Toy(ports=ports))
        server.close()
        lifecycle.start(first)
    with socket.create_server(("127.0.0.1", next(iter(ports)))):
        lifecycle.start(site(base, Toy({"api": {"version": 2}}, ports=ports)))


def test_a_second_caller_is_told_who_is_at_work(base: Path) -> None:
    here = site(base)
    with (
        held(here.instance.lock, "ann@laptop", "start", here.clock),
        pytest.raises(LockedError, match="ann@laptop") as caught,
    ):
        lifecycle.start(here)
    assert caught.value.exit_code == 5
    assert f"pid {os.getpid()}" in caught.value.message


def test_a_stop_drains_then_stops_and_a_second_one_finds_nothing(base: Path) -> None:
    lifecycle.start(site(base))
    here = site(base)
    assert lifecycle.stop(here).changed
    assert _done(here) == ["drain", "stop"]
    assert look(here).status == "stopped"
    assert not lifecycle.stop(site(base)).changed


def test_a_forced_stop_does_not_wait_for_tasks(base: Path) -> None:
    lifecycle.start(site(base))
    here = site(base)
    lifecycle.stop(here, force=True)
    assert _done(here) == ["stop"]


def test_a_stopped_instance_starts_again_with_its_data(base: Path) -> None:
    lifecycle.start(site(base))
    lifecycle.stop(site(base))
    (base / "tenants/demo/data/kept").write_text("rows")
    lifecycle.start(site(base))
    assert _read(site(base), "data/kept") == "rows"


def test_destroy_removes_everything(base: Path) -> None:
    here = site(base)
    lifecycle.start(here)
    pid = here.engine._pid("api")  # type: ignore[attr-defined]
    lifecycle.destroy(site(base))
    assert not (base / "tenants/demo").exists()
    assert here.watching.ps("/nowhere") == []
    status = Path(f"/proc/{pid}/stat")
    assert not status.exists() or " Z " in status.read_text()


def test_destroy_keeps_data_and_what_starts_with_it(base: Path) -> None:
    lifecycle.start(site(base))
    (base / "tenants/demo/data/kept").write_text("rows")
    lifecycle.destroy(site(base), keep_data=True)
    assert sorted(path.name for path in (base / "tenants/demo").iterdir()) == ["data", "secrets.yml", "server.yml"]
    lifecycle.start(site(base))
    assert _read(site(base), "data/kept") == "rows"


def test_destroy_of_what_never_started(base: Path) -> None:
    lifecycle.destroy(site(base))
    assert not (base / "tenants/demo").exists()


def test_migrate_asks_the_running_instance(base: Path) -> None:
    with pytest.raises(SfpError, match="does not run"):
        lifecycle.migrate(site(base), ["--status"])
    lifecycle.start(site(base))
    here = site(base)
    assert lifecycle.migrate(here, ["--status"]).stdout == "1 migration\n"
    assert _lines(here) == []
    lifecycle.migrate(here, ["--apply"])
    assert _read(here, "data/migrated") == "--apply\n--status\n--apply\n"
    assert here.journal.entries()[-1].kind == "migrate"


@pytest.mark.parametrize("operation", [lifecycle.start, lifecycle.stop, lifecycle.destroy])
def test_a_dry_run_changes_nothing_and_tells_no_secret(base: Path, operation: object) -> None:
    if operation is not lifecycle.start:
        lifecycle.start(site(base))
    here = site(base, dry=True)
    before = _tree(base)
    operation(here)  # type: ignore[operator]
    assert _tree(base) == before
    text = "\n".join(_lines(here))
    assert "note run   " in text
    assert "hush-hush" not in text


def test_a_destroy_that_is_cut_short_still_finds_the_instance(base: Path) -> None:
    lifecycle.start(site(base))
    here = site(base, dry=True)
    lifecycle.destroy(here)
    *_, clearing, removing = _lines(here)
    folder = str(here.instance.folder)
    assert clearing.startswith(f"note run   find {folder} -mindepth 1 -maxdepth 1 '!' -name server.yml '!' -name lock ")
    assert removing.startswith("note run   rm -rf -- ")
    assert removing.endswith(folder)


def test_a_dry_start_says_every_file_and_command(base: Path) -> None:
    here = site(base, dry=True)
    lifecycle.start(here)
    text = "\n".join(_lines(here))
    for part in ("manifest.json  (0644, ", "secrets/api/signing-key  (0400, private)", "ln -sfnT releases/"):
        assert part in text


def _name(toy: Toy) -> str:
    made = bundle(toy)
    return f"{made.version}-{made.hash[:12]}"


def _release(here: Site) -> str:
    return str(next(here.instance.releases.iterdir()))


def _lines(here: Site) -> list[str]:
    assert isinstance(here.reporter, Lines)
    return here.reporter.lines


def _done(here: Site) -> list[str]:
    return [line.removeprefix("done ").partition(":")[0] for line in _lines(here) if line.startswith("done ")]


def _read(here: Site, name: str) -> str:
    return (here.instance.folder / name).read_text()


def _tree(base: Path) -> dict[str, object]:
    paths = sorted(base.rglob("*"))
    return {str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else None) for path in paths}


def test_the_journal_reads_as_json_lines(base: Path) -> None:
    here = site(base)
    lifecycle.start(here)
    lines = [json.loads(line) for line in here.instance.journal.read_text().splitlines()]
    assert {line["version"] for line in lines} == {1}
    assert len({line["operation"] for line in lines}) == 1
    assert (lines[0]["state"], lines[0]["what"], lines[-1]["state"]) == ("begin", _name(Toy()), "done")
