"""The commands of the lifecycle as a user types them, as far as they go without a running server."""

import json
import re
import socket
from pathlib import Path

import pytest

from sfp_server.cli import run
from sfp_server.clock import SystemClock
from sfp_server.ops.instance import Instance
from sfp_server.ops.lock import held

Out = pytest.CaptureFixture[str]


@pytest.fixture
def base(tmp_path: Path, capsys: Out) -> Path:
    assert run(["init", "--tenant", "demo", "--engine", "embedded", "--base-dir", str(tmp_path)]) == 0
    capsys.readouterr()
    return tmp_path


def typed(base: Path, capsys: Out, *arguments: str) -> tuple[int, str, str]:
    code = run([*arguments, "--base-dir", str(base)])
    out, err = capsys.readouterr()
    return code, out, err


def test_before_the_first_start(base: Path, capsys: Out) -> None:
    code, out, _ = typed(base, capsys, "status")
    assert code == 0
    assert re.fullmatch(r"demo  stopped  never started  http://127.0.0.1:\d+  embedded\nStart it: .* start\n", out)
    assert typed(base, capsys, "stop")[:2] == (0, "demo does not run. Nothing was changed.\n")
    assert typed(base, capsys, "logs")[0] == 1
    code, _, err = typed(base, capsys, "migrate", "--status")
    assert (code, err.splitlines()) == (
        1, ["Error: demo does not run, so its database cannot be asked.", "Start it: sfp server start"],
    )  # fmt: skip


def test_status_as_a_document(base: Path, capsys: Out) -> None:
    _, out, _ = typed(base, capsys, "status", "--json")
    document = json.loads(out)
    assert document.pop("schema").startswith("sfp.status")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", document.pop("url"))
    assert document == {
        "tenant": "demo", "status": "stopped", "engine": "embedded", "version": None, "schemaVersion": None,
        "services": [],
    }  # fmt: skip


def test_a_dry_start_names_every_command_and_writes_nothing(base: Path, capsys: Out) -> None:
    before = sorted(base.rglob("*"))
    code, out, err = typed(base, capsys, "start", "--dry-run")
    assert (code, err) == (0, "")
    assert sorted(base.rglob("*")) == before
    steps = [line for line in out.splitlines() if not line.startswith(" ")]
    assert steps == [
        "check", "render", "toolchain", "engine", "data", "migrate", "services", "verify", "current",
        "Nothing was changed.",
    ]  # fmt: skip
    assert " -m sfp_server.engine.supervisor run --bundle " in out
    for secret in re.findall(r': "(.{20,})"', (base / "tenants/demo/secrets.yml").read_text()):
        assert secret not in out


def test_a_dry_start_as_a_document_keeps_standard_output_clean(base: Path, capsys: Out) -> None:
    code, out, err = typed(base, capsys, "start", "--dry-run", "--json")
    assert (code, json.loads(out)["dryRun"]) == (0, True)
    assert "render" in err


@pytest.mark.parametrize("command", ["start", "stop", "destroy"])
def test_a_tenant_that_is_not_there(base: Path, capsys: Out, command: str) -> None:
    code, out, err = typed(base, capsys, command, "--tenant", "other")
    assert (code, out) == (2, "")
    assert err.startswith('Error: there is no tenant "other"')


def test_secrets_that_others_can_read(base: Path, capsys: Out) -> None:
    path = base / "tenants/demo/secrets.yml"
    path.chmod(0o644)
    code, out, err = typed(base, capsys, "start")
    assert (code, out) == (3, "")
    assert err.splitlines() == [
        f"Error: {path} can be read by others (mode 0644).",
        f"Make it yours alone: chmod 600 {path}",
    ]


def test_a_port_that_is_taken(base: Path, capsys: Out) -> None:
    port = int(re.findall(r"port: (\d+)", (base / "tenants/demo/server.yml").read_text())[0])
    with socket.create_server(("127.0.0.1", port)):
        code, _, err = typed(base, capsys, "start")
    assert code == 3
    assert re.match(rf"Error: port {port} on this machine is taken by .+ \(pid \d+\)\.\nThe API needs it\. ", err)
    assert not (base / "tenants/demo/releases").exists()


def test_a_second_caller(base: Path, capsys: Out) -> None:
    with held(Instance(base, "demo").lock, "ann@laptop", "start", SystemClock()):
        code, out, err = typed(base, capsys, "start")
    assert (code, out) == (5, "")
    assert err.startswith("Error: ann@laptop is at work on this instance: start, since ")
    assert len(err.splitlines()) == 2


def test_destroy_asks_and_without_a_terminal_wants_a_yes(base: Path, capsys: Out) -> None:
    code, out, err = typed(base, capsys, "destroy")
    assert code == 2
    assert out.splitlines()[0] == f"demo, in {base}/tenants/demo"
    assert err.splitlines()[-1] == "Add --yes to go on."
    assert (base / "tenants/demo/server.yml").exists()


def test_destroy_without_a_question_wants_the_name(base: Path, capsys: Out) -> None:
    code, out, err = typed(base, capsys, "destroy", "--yes")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == "Name it: --tenant demo"
    assert (base / "tenants/demo/secrets.yml").exists()
    assert typed(base, capsys, "destroy", "--yes", "--dry-run")[0] == 0


def test_destroy_removes_it(base: Path, capsys: Out) -> None:
    code, out, _ = typed(base, capsys, "destroy", "--tenant", "demo", "--yes")
    assert (code, out.splitlines()[-1]) == (0, "demo is removed.")
    assert not (base / "tenants/demo").exists()


def test_destroy_keeps_the_settings_with_the_data(base: Path, capsys: Out) -> None:
    assert typed(base, capsys, "destroy", "--yes", "--keep-data")[0] == 0
    assert {path.name for path in (base / "tenants/demo").iterdir()} == {"secrets.yml", "server.yml"}


def test_migrate_wants_one_verb(base: Path, capsys: Out) -> None:
    assert typed(base, capsys, "migrate")[0] == 2
    assert typed(base, capsys, "migrate", "--apply", "--verify")[0] == 2
