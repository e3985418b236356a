"""`init` as a person uses it: what it says, what it refuses, what it leaves behind."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sfp_server.cli import run
from tests.golden.compare import golden


class Said(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def sfp(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def ran(command: str, *arguments: str) -> Said:
        code = run([*command.split(), *arguments, "--base-dir", str(tmp_path / "base")])
        streams = capsys.readouterr()
        return Said(code, *(text.replace(str(tmp_path), "BASE") for text in (streams.out, streams.err)))

    return ran


def tree(path: Path) -> list[str]:
    return sorted(str(found.relative_to(path)) for found in path.rglob("*"))


def test_a_new_instance(sfp: Run, tmp_path: Path) -> None:
    assert sfp("init --tenant acme --domain sfp.acme.com --engine compose") == Said(
        0,
        "Wrote BASE/base/tenants/acme/server.yml    the settings, commented; safe to commit\n"
        "Wrote BASE/base/tenants/acme/secrets.yml   8 secrets generated; only you can read it\n"
        "Next: sfp server start --base-dir BASE/base\n",
        "",
    )
    assert tree(tmp_path) == ["base", "base/tenants", "base/tenants/acme", *(
        f"base/tenants/acme/{name}" for name in ("secrets.yml", "server.yml")
    )]  # fmt: skip


def test_again_changes_nothing_and_says_so(sfp: Run, tmp_path: Path) -> None:
    sfp("init -t acme --engine embedded")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "base").rglob("*")}
    again = sfp("init -t acme --engine embedded")
    assert again.out.splitlines()[0] == "acme is there as asked, nothing to change."
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "base").rglob("*")} == before


def test_other_than_there_is_shown_and_needs_force(sfp: Run, tmp_path: Path) -> None:
    sfp("init -t acme --engine embedded")
    secrets = (tmp_path / "base/tenants/acme/secrets.yml").read_bytes()
    refused = sfp("init -t acme --worker-counts 1,4,1")
    assert (refused.code, refused.err) == (
        3, "Error: acme is there, and other than asked. Nothing was changed.\nTo go on: --force\n",
    )  # fmt: skip
    assert "-  normal: 1\n+  normal: 4\n" in refused.out
    forced = sfp("init -t acme --worker-counts 1,4,1 --force")
    assert forced.code == 0
    assert "-  normal: 1\n+  normal: 4\n" in forced.out
    assert (tmp_path / "base/tenants/acme/secrets.yml").read_bytes() == secrets


def test_force_makes_a_broken_file_anew_and_shows_what_goes(sfp: Run, tmp_path: Path) -> None:
    sfp("init -t acme --engine embedded")
    settings = tmp_path / "base/tenants/acme/server.yml"
    settings.write_text("tenant: [broken\n")
    assert sfp("init -t acme --engine embedded").code == 3
    forced = sfp("init -t acme --engine embedded --force")
    assert forced.code == 0
    assert "-tenant: [broken\n" in forced.out
    assert "\ntenant: acme\n" in settings.read_text()


def test_force_does_not_write_over_a_newer_form(sfp: Run, tmp_path: Path) -> None:
    sfp("init -t acme --engine embedded")
    settings = tmp_path / "base/tenants/acme/server.yml"
    settings.write_text("config_version: 9\n")
    said = sfp("init -t acme --engine embedded --force")
    assert (said.code, said.err.splitlines()[1]) == (3, "Update the program: pip install --upgrade sfp-server")
    assert settings.read_text() == "config_version: 9\n"


def test_a_dry_run_writes_nothing(sfp: Run, tmp_path: Path) -> None:
    said = sfp("init -t acme --engine embedded --dry-run")
    assert said.out.startswith("Would write BASE/base/tenants/acme/server.yml")
    assert tree(tmp_path) == []


def test_the_json_document(sfp: Run) -> None:
    said = sfp("init -t acme --domain sfp.acme.com --json")
    golden("cli/init.json", said.out)
    assert said.err == ""


def test_two_instances_have_ports_of_their_own(sfp: Run) -> None:
    first = json.loads(sfp("init -t one --engine embedded --json").out)["url"]
    second = json.loads(sfp("init -t two --engine embedded --json").out)["url"]
    assert first != second
    port = first.rpartition(":")[2]
    taken = sfp("init -t three --engine embedded --port", port)
    assert (taken.code, taken.err.splitlines()[0]) == (3, f"Error: port {port} belongs to tenant one.")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("init", "the instance needs a name."),
        ("init -t Acme_", 'the tenant\'s name "Acme_" cannot be used.'),
        ("init -t acme", "a server that others reach needs a host name."),
        ("init -t acme --engine foo --domain a.b", "the settings asked for: engine: must be compose or embedded"),
        ("init -t acme --engine embedded --worker-counts 1,2", "--worker-counts must be three numbers"),
        ("init -t acme --engine embedded --worker-counts 1,2,99", "workers.batch: must be 0 to 10, is 99"),
        ("init -t acme --mode test", "--mode must be dev or prod"),
        ("init -t acme --engine embedded --port x", "Invalid value for '--port'"),
    ],
)
def test_wrong_usage_is_one_line_and_leaves_nothing(sfp: Run, tmp_path: Path, command: str, said: str) -> None:
    refused = sfp(command)
    assert refused.code == 2
    assert said in refused.err.splitlines()[0]
    assert len(refused.err.splitlines()) == 2 or "--mode" in said
    assert tree(tmp_path) == []


@pytest.mark.parametrize(
    "flag", ["--infisical-token", "--aws-secret-access-key", "--passphrase", "--docker-registry-token", "--token"]
)
@pytest.mark.parametrize("joined", [True, False])
def test_a_flag_with_a_secret_is_refused_without_showing_it(sfp: Run, tmp_path: Path, flag: str, joined: bool) -> None:
    refused = sfp("init -t acme --engine embedded", *([f"{flag}=hunter2"] if joined else [flag, "hunter2"]))
    assert refused.code == 2
    assert f"{flag} is not taken" in refused.err
    assert "hunter2" not in refused.out + refused.err
    assert tree(tmp_path) == []


def test_the_published_file_and_its_secrets(sfp: Run, tmp_path: Path) -> None:
    server = tmp_path / "server.json"
    server.write_text(
        json.dumps({"domain": "sfp.acme.com", "workerCounts": "1,2,1", "secrets": {"GITHUB_TOKEN": "hunter2"}})
    )
    said = sfp("init -t acme --config-file", str(server))
    assert "8 secrets generated, 1 taken over; only you can read it" in said.out
    assert "hunter2" not in said.out + said.err
    assert "hunter2" not in (tmp_path / "base/tenants/acme/server.yml").read_text()
    assert 'github-token: "hunter2"' in (tmp_path / "base/tenants/acme/secrets.yml").read_text()


def test_a_secrets_file_that_others_can_read_is_refused(sfp: Run, tmp_path: Path) -> None:
    sfp("init -t acme --engine embedded")
    secrets = tmp_path / "base/tenants/acme/secrets.yml"
    secrets.chmod(0o644)
    for command in ("init -t acme", "init -t acme --force", "config show"):
        said = sfp(command)
        assert (said.code, said.err.splitlines()[1]) == (3, "Run: chmod 600 BASE/base/tenants/acme/secrets.yml")


def test_the_password_of_an_existing_database_is_asked_for(sfp: Run, tmp_path: Path) -> None:
    settings = tmp_path / "db.yml"
    settings.write_text("engine: embedded\ndatabase: {url: 'postgresql://owner@db/sfp'}\n")
    said = sfp("init -t acme --config-file", str(settings))
    assert said.err.splitlines() == [
        "Error: the secret database-admin-password is missing.",
        "Set SFP_DATABASE_ADMIN_PASSWORD, or give it in --config-file: secrets",
    ]
    os.environ["SFP_DATABASE_ADMIN_PASSWORD"] = "hunter2"
    try:
        assert sfp("init -t acme --config-file", str(settings)).code == 0
    finally:
        del os.environ["SFP_DATABASE_ADMIN_PASSWORD"]
    assert 'database-admin-password: "hunter2"' in (tmp_path / "base/tenants/acme/secrets.yml").read_text()


def test_what_is_missing_is_asked_for_and_asked_again(tmp_path: Path) -> None:
    program = "from sfp_server.cli import main; main()"
    arguments = ["init", "--interactive", "--base-dir", str(tmp_path)]
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments], input="Bad_\nacme\n\n", capture_output=True, text=True, check=True
    )
    assert "Lower-case letters, digits and hyphens" in ran.stderr
    assert "mode: off" in (tmp_path / "tenants/acme/server.yml").read_text()
    assert ran.stdout.lstrip().startswith("Wrote ")


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); from sfp_server.cli import main; main()"
    )
    arguments = ["init", "-t", "acme", "--engine", "embedded", "--base-dir", str(tmp_path / "base")]
    ran = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith("Error: cannot write ")
    assert tree(tmp_path) == []
