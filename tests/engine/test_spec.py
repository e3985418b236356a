"""`services.json`: read whole, and refused whole."""

import json
from pathlib import Path
from typing import Any

import pytest

from sfp_server.engine.supervisor.spec import load, parse_environment
from sfp_server.errors import SfpError
from tests.fakes import toy_bundle
from tests.fakes.toy_bundle import service


def written(tmp_path: Path, *services: dict[str, Any], **head: Any) -> Path:
    folder = toy_bundle.write(tmp_path / "release", services, base=tmp_path)
    document = json.loads((folder / "services.json").read_text())
    (folder / "services.json").write_text(json.dumps({**document, **head}))
    return folder


def test_what_is_absent_has_its_default(tmp_path: Path) -> None:
    spec = load(written(tmp_path, {"name": "db", "argv": ["true"]})).spec("db")
    assert (spec.after, spec.health, spec.stop_signal, spec.job, spec.dies_by) == (
        (),
        None,
        "SIGTERM",
        False,
        "SIGKILL",
    )


def test_a_stop_signal_of_its_own_is_also_its_death_signal(tmp_path: Path) -> None:
    bundle = load(written(tmp_path, service("db", stop_signal="SIGINT"), service("api", death_signal="SIGTERM")))
    assert [spec.dies_by for spec in bundle.specs] == ["SIGINT", "SIGTERM"]


def test_every_problem_is_named_by_its_path_at_once(tmp_path: Path) -> None:
    wrong = {"name": "Bad Name", "argv": "true", "stop_signal": "SIGNOTHING", "colour": 1, "health": {"interval": -1}}
    with pytest.raises(SfpError) as caught:
        load(written(tmp_path, wrong, release=3))
    assert caught.value.message.splitlines()[1:] == [
        "  release: must be text, is 3",
        "  services[0].colour: is not known",
        "  services[0].name: must be a name of lower-case letters, digits and hyphens, is 'Bad Name'",
        "  services[0].argv: must be a list of text, is 'true'",
        "  services[0].stop_signal: must be a signal's name, is 'SIGNOTHING'",
        "  services[0].health.argv: is missing",
        "  services[0].health.interval: must be a number of at least 0, is -1",
    ]


def test_order_is_checked(tmp_path: Path) -> None:
    with pytest.raises(SfpError) as caught:
        load(
            written(
                tmp_path, service("a", after=["b"]), service("b", after=["a"]), service("c", after=["d"]), service("c")
            )
        )
    assert [line.strip() for line in caught.value.message.splitlines()[1:]] == [
        "c: after d, which is no service", "c: stands twice", "a, b: each comes after the other",
    ]  # fmt: skip


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SfpError, match="is version 2; this program reads version 1"):
        load(written(tmp_path, service("db"), version=2))


def test_a_folder_that_is_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(SfpError, match="is no bundle"):
        load(tmp_path)


def test_the_fingerprint_changes_with_what_the_service_is_and_no_more(tmp_path: Path) -> None:
    def fingerprint(folder: str, *, env: str = "A=1\n", secret: str = "x", **more: Any) -> str:
        secrets = tmp_path / folder / "secrets"
        secrets.mkdir(parents=True)
        (secrets / "key").write_text(secret)
        entry = service("db", "exec {bundle}/run", files=["{bundle}/secrets"], **more)
        bundle = load(toy_bundle.write(tmp_path / folder, [entry], base=tmp_path, env={"db": env}))
        return bundle.fingerprint(bundle.spec("db"))

    first = fingerprint("one")
    assert fingerprint("two", env="# a note\nA=1\n", stop_timeout=99, health={"argv": ["true"]}) == first
    others = {
        fingerprint("three", env="A=2\n"), fingerprint("four", secret="y"), fingerprint("five", image="db 2"),
    }  # fmt: skip
    assert len(others | {first}) == 4


def test_values_of_the_environment_stand_as_they_are() -> None:
    text = '# note\n\nA=1\nB= spaced "quoted" $HOME #kept\nC=x=y\n'
    assert parse_environment(text) == {"A": "1", "B": ' spaced "quoted" $HOME #kept', "C": "x=y"}
