"""Drafts: what `init` and `config set` would write, what they keep, and that it says what was asked."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfp_server.cmd.base import Secret
from sfp_server.errors import CheckError, UsageError
from sfp_server.ops import draft, secrets
from sfp_server.ops.config import Config, load, parse
from sfp_server.ops.instance import Instance
from sfp_server.ops.wishes import NOTHING, Wishes

COUNTS = st.integers(0, 10)
HOSTS = st.from_regex(r"[a-z]{1,8}\.[a-z]{2,5}", fullmatch=True)
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)
CONFIGS = st.fixed_dictionaries(
    {"config_version": st.just(1), "tenant": st.from_regex(r"[a-z][a-z0-9]{0,30}", fullmatch=True), "domain": HOSTS},
    optional={
        "deployment": st.sampled_from(["self", "managed"]),
        "engine": st.sampled_from(["compose", "embedded"]),
        "workers": st.fixed_dictionaries({"critical": COUNTS, "normal": COUNTS, "batch": COUNTS}),
        "tasks": st.fixed_dictionaries({"attempts": st.integers(1, 10), "timeout": st.integers(1, 604800)}),
        "resources": st.fixed_dictionaries(
            {
                "sandbox": st.fixed_dictionaries(
                    {
                        "memory": st.integers(64 << 20, 1 << 40),
                        "cpus": st.floats(0.1, 256, allow_subnormal=False).map(lambda number: round(number, 2)),
                        "pids": st.integers(16, 65536),
                    }
                )
            }
        ),
        "tls": st.fixed_dictionaries(
            {"mode": st.sampled_from(["acme", "internal", "off"]), "email": st.just("a.b+c@d.example")}
        ),
        "database": st.just("bundled") | st.builds(lambda host: {"url": f"postgresql://o@{host}/sfp"}, HOSTS),
        "objects": st.fixed_dictionaries(
            {"bucket": st.just("b.c-1"), "endpoint": HOSTS.map("https://{}".format), "region": st.just("eu-1")}
        ),
        "release": st.fixed_dictionaries(
            {"channel": st.just("stable"), "version": st.just("1.4.0") | st.none(), "file": TEXTS | st.none()}
        ),
        "http": st.fixed_dictionaries({"port": st.integers(1, 65535)}),
        "toolchain": st.sampled_from(["auto", "system", "off"]),
    },
)
CHANGES = st.sampled_from(
    [
        (("workers", "normal"), 7), (("domain",), "new.example.com"), (("domain",), None), (("tls", "mode"), "off"),
        (("database", "url"), "postgresql://o@h/d"), (("database",), "bundled"), (("release", "file"), "a: b # c"),
        (("objects",), {"bucket": "b", "endpoint": "http://s3"}), (("http", "port"), 4000), (("toolchain",), "off"),
        (("resources", "sandbox", "cpus"), 0.5), (("release", "file"), None), (("release", "version"), "2.0.0"),
    ]
)  # fmt: skip


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path, "acme")


def asking(**settings: Any) -> Wishes:
    return NOTHING.and_also(settings)


def made(instance: Instance, **settings: Any) -> draft.Draft:
    new = draft.new(instance, asking(**{"engine": "embedded", **settings}))
    new.write()
    return new


def comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.lstrip().startswith("#")]


@given(CONFIGS)
def test_the_starter_says_what_was_asked(asked: dict[str, Any]) -> None:
    config = Config.model_validate(asked)
    assert parse(draft.starter(config)) == config


@given(CONFIGS, st.lists(CHANGES, max_size=4))
def test_changes_never_touch_a_comment(asked: dict[str, Any], changes: list[tuple[tuple[str, ...], Any]]) -> None:
    text = draft.starter(Config.model_validate({**asked, "engine": "embedded", "target": "local"}))
    kept = comments(text)
    for path, value in changes:
        text = draft._with(text, path, value)
        found: Any = parse(text).model_dump(mode="json")
        for key in path:
            found = found[key]
        assert found == (value if not isinstance(value, dict) else {"region": "us-east-1", **value})
        assert comments(text) == kept


def test_a_new_instance_appears_whole_with_its_modes(instance: Instance) -> None:
    made(instance, workers={"normal": 3})
    assert sorted(os.listdir(instance.folder)) == ["secrets.yml", "server.yml"]
    assert instance.secrets_file.stat().st_mode & 0o777 == 0o600
    assert load(instance).workers.normal == 3
    assert set(secrets.load(instance)) == set(secrets.GENERATED)


def test_asking_for_the_same_again_changes_nothing(instance: Instance) -> None:
    made(instance, workers={"normal": 3})
    again = draft.changed(instance, asking(engine="embedded", workers={"normal": 3}))
    assert not again.changes
    assert again.difference() == []


def test_asking_for_more_changes_that_line_alone_and_keeps_the_secrets(instance: Instance) -> None:
    first = made(instance)
    text = instance.settings_file.read_text() + "# mine\n"
    instance.settings_file.write_text(text)
    more = draft.changed(instance, asking(workers={"normal": 3}))
    assert [line for line in more.difference() if line[:1] in "+-"][2:] == ["-  normal: 1", "+  normal: 3"]
    more.write()
    assert instance.settings_file.read_text() == text.replace("normal: 1\n", "normal: 3\n")
    assert secrets.load(instance) == first.values


def test_the_mode_that_somebody_gave_the_settings_stays(instance: Instance) -> None:
    made(instance)
    instance.settings_file.chmod(0o600)
    draft.revised(instance, ("workers", "normal"), 4).write()
    assert instance.settings_file.stat().st_mode & 0o777 == 0o600


def test_a_secret_that_is_missing_is_made_and_the_others_stay(instance: Instance) -> None:
    first = made(instance)
    secrets.write(instance, {name: value for name, value in first.values.items() if name != "redis-password"})
    repaired = draft.changed(instance, NOTHING)
    assert repaired.fresh == ("redis-password",)
    repaired.write()
    assert {**secrets.load(instance), "redis-password": None} == {**first.values, "redis-password": None}


def test_secrets_that_data_needs_are_not_made_anew(instance: Instance) -> None:
    made(instance)
    instance.data.mkdir()
    instance.secrets_file.unlink()
    with pytest.raises(CheckError, match="can be opened only with what it held") as caught:
        draft.changed(instance, NOTHING)
    assert caught.value.hint == "Restore it from your copy."


def test_an_instance_whose_settings_were_removed_keeps_its_secrets(instance: Instance) -> None:
    first = made(instance)
    instance.settings_file.unlink()
    again = draft.new(instance, asking(engine="embedded"))
    again.write()
    assert (again.fresh, secrets.load(instance)) == ((), first.values)
    assert load(instance).engine == "embedded"


def test_given_secrets_are_taken_over(instance: Instance) -> None:
    wishes = asking(engine="embedded").with_secrets({"github-token": Secret("ghp")})
    new = draft.new(instance, wishes)
    assert new.given == ("github-token",)
    assert new.values["github-token"] == Secret("ghp")


def test_one_setting_is_changed_and_the_whole_is_checked(instance: Instance) -> None:
    made(instance)
    with pytest.raises(UsageError, match=r"workers\.normal: must be 0 to 10, is 11"):
        draft.revised(instance, ("workers", "normal"), 11)
    with pytest.raises(UsageError, match="target: must be local with engine embedded"):
        draft.revised(instance, ("target",), "aws")
    with pytest.raises(UsageError, match="cannot be renamed"):
        draft.revised(instance, ("tenant",), "other")
    draft.revised(instance, ("workers", "normal"), 4).write()
    assert load(instance).workers.normal == 4


def test_an_older_file_is_brought_to_the_newest_form_and_shown(instance: Instance) -> None:
    made(instance)
    instance.settings_file.write_text('# ours\ntenant: acme\nengine: embedded\nworkerCounts: "1,2,1"\n')
    revised = draft.revised(instance, ("workers", "batch"), 5)
    assert [line for line in revised.difference() if line[:1] in "+-"][2:] == [
        '-workerCounts: "1,2,1"',
        "+config_version: 1",
        "+workers: {critical: 1, normal: 2, batch: 5}",
    ]


def test_a_broken_file_can_be_told_from_one_of_a_newer_form(instance: Instance) -> None:
    made(instance)
    assert not draft.broken(instance)
    instance.settings_file.write_text("tenant: [")
    assert draft.broken(instance)
    instance.settings_file.write_text("config_version: 1\ntenant: acme\nengine: x\n")
    assert draft.broken(instance)
    instance.settings_file.write_text("config_version: 9\n")
    with pytest.raises(CheckError, match="newer than this program knows"):
        draft.broken(instance)


def test_the_difference_of_a_file_with_a_secret_hides_it(instance: Instance) -> None:
    made(instance)
    instance.settings_file.write_text('tenant: acme\nsecrets: {x: y}\nGITHUB_TOKEN: "hunter2"\n')
    shown = "\n".join(draft.new(instance, asking(engine="embedded")).difference())
    assert "hunter2" not in shown
    assert "GITHUB_TOKEN" in shown
