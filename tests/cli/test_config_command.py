"""`config` and `render` as a person uses them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sfp_server.cli import run
from tests.golden.compare import golden

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sfp(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Commands on a base with the tenant acme: exit code, output, errors."""

    def ran(*arguments: str) -> tuple[int, str, str]:
        code = run([*arguments, "--base-dir", str(tmp_path)])
        out, err = (text.replace(str(tmp_path), "BASE") for text in capsys.readouterr())
        return code, out, err

    ran("init", "-t", "acme", "--engine", "embedded", "--port", "3999")
    return ran


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return tmp_path / "tenants/acme/server.yml"


def test_the_schema_is_the_reviewed_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "schema"]) == 0
    golden("cli/config-schema.json", capsys.readouterr().out)


def test_all_settings_are_shown_and_secrets_by_name(sfp: Run) -> None:
    code, out, _ = sfp("config", "show")
    golden("cli/config-show.txt", out)
    assert code == 0


def test_settings_as_json(sfp: Run) -> None:
    golden("cli/config.json", sfp("config", "show", "--json")[1])


@pytest.mark.parametrize(
    ("key", "shown"),
    [("http.port", "3999\n"), ("domain", "\n"), ("workers", "critical: 1\nnormal: 1\nbatch: 1\n")],
)
def test_one_setting_is_shown_alone(sfp: Run, key: str, shown: str) -> None:
    assert sfp("config", "show", key) == (0, shown, "")


def test_a_setting_is_changed_in_its_line(sfp: Run, settings: Path) -> None:
    before = settings.read_text()
    code, out, _ = sfp("config", "set", "workers.normal", "4")
    assert code == 0
    assert "-  normal: 1\n+  normal: 4\n" in out
    assert settings.read_text() == before.replace("  normal: 1\n", "  normal: 4\n")
    assert sfp("config", "set", "workers.normal", "4")[1] == "workers.normal is so already, nothing to change.\n"


def test_a_change_as_json(sfp: Run) -> None:
    golden("cli/config-change.json", sfp("config", "set", "workers.normal", "4", "--json")[1])


def test_a_dry_run_changes_nothing(sfp: Run, settings: Path) -> None:
    before = settings.read_text()
    code, out, _ = sfp("config", "set", "toolchain", "off", "--dry-run")
    assert code == 0
    assert out.endswith("-toolchain: auto\n+toolchain: off\nNothing was changed.\n")
    assert settings.read_text() == before


@pytest.mark.parametrize(
    ("key", "value", "said", "hint"),
    [
        ("workres.normal", "4", "there is no setting workres.normal.", "Did you mean workers.normal?"),
        ("zzz", "4", "there is no setting zzz.", "What is possible: sfp server config schema"),
        ("workers.normal", "x", 'workers.normal: must be 0 to 10, is "x"', "Nothing was changed."),
        ("tenant", "other", "an instance cannot be renamed", "Nothing was changed."),
        ("database.url", "postgresql://o:hunter2@h/d", "with the password in secrets.yml", "Nothing was changed."),
    ],
)
def test_what_is_wrong_is_refused_before_it_is_written(
    sfp: Run, settings: Path, key: str, value: str, said: str, hint: str
) -> None:
    before = settings.read_text()
    code, out, err = sfp("config", "set", key, value)
    message, told = err.splitlines()
    assert (code, out) == (2, "")
    assert said in message
    assert told.startswith(hint)
    assert "hunter2" not in err
    assert settings.read_text() == before


def test_a_broken_file_is_told_with_its_lines(sfp: Run, settings: Path) -> None:
    settings.write_text("config_version: 1\ntenant: acme\nengine: embedded\nworkers:\n  critcal: 1\n  batch: 99\n")
    assert sfp("config", "show") == (
        3,
        "",
        "Error: BASE/tenants/acme/server.yml has 2 problems:\n"
        "  line 5    workers.critcal: unknown key, did you mean workers.critical?\n"
        "  line 6    workers.batch: must be 0 to 10, is 99\n"
        "What is possible: sfp server config schema\n",
    )


def test_the_bundle_is_written_where_asked_and_nothing_else_is_touched(sfp: Run, tmp_path: Path) -> None:
    instance = tmp_path / "tenants/acme"
    before = sorted(instance.rglob("*"))
    code, out, _ = sfp("render", "--output", str(tmp_path / "out"))
    assert code == 0
    assert out.startswith("Wrote BASE/out, bundle 0.1.0-")
    assert json.loads((tmp_path / "out/services.json").read_text())["tenant"] == "acme"
    assert sorted(instance.rglob("*")) == before


def test_a_folder_that_is_there_is_not_written_to(sfp: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    code, _, err = sfp("render", "--output", str(tmp_path / "out"))
    assert (code, err.splitlines()[0]) == (2, "Error: BASE/out is there already.")


def test_a_dry_run_lists_the_files(sfp: Run, tmp_path: Path) -> None:
    out = sfp("render", "--output", str(tmp_path / "out"), "--dry-run")[1]
    assert "  services.json " in out
    assert not (tmp_path / "out").exists()


def test_the_bundle_as_json_names_its_files(sfp: Run, tmp_path: Path) -> None:
    document = json.loads(sfp("render", "--output", str(tmp_path / "out"), "--json")[1])
    assert document["schema"] == "sfp.render/1"
    assert "env/api.env" in document["files"]


def test_a_compose_bundle_needs_a_release_and_is_written_whole(sfp: Run, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    sfp("init", "-t", "other", "--domain", "sfp.acme.com")
    assert sfp("render", "-t", "other", "--output", out) == (
        3,
        "",
        "Error: no release is named that could run.\n"
        "Name a release's manifest: sfp server config set release.file PATH\n",
    )
    release = Path(__file__).parents[1] / "golden/compose/release.json"
    code, said, _ = sfp("render", "-t", "other", "--output", out, "--release", str(release))
    assert (code, said.splitlines()[0].partition("-")[0]) == (0, "Wrote BASE/out, bundle 1.2.3")
    sfp("config", "set", "-t", "other", "release.file", str(release))
    assert sfp("render", "-t", "other", "--output", out + "2")[0] == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"compose.yml", "Caddyfile", "upstream.caddy", "redis.conf", "manifest.json", "api.env"} <= set(files)
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "out2").rglob("*") if path.is_file()}


def test_a_secret_of_the_instance_is_in_no_file_of_the_bundle(sfp: Run, tmp_path: Path) -> None:
    sfp("render", "--output", str(tmp_path / "out"))
    lines = (tmp_path / "tenants/acme/secrets.yml").read_text().splitlines()
    values = [line.split('"')[1] for line in lines if '"' in line]
    everything = "".join(path.read_text() for path in (tmp_path / "out").rglob("*.*"))
    assert len(values) == 8
    assert not [value for value in values if value in everything]
