"""Older forms of the settings, published names, and newer forms."""

import json

import pytest

from sfp_server.errors import CheckError
from sfp_server.ops import config_versions, yamlfile
from sfp_server.ops.config import parse

PUBLISHED = '{"tenant": "acme", "domain": "sfp.acme.com", "workerCounts": "1,3,2"}'


def test_the_published_file_is_version_0_and_reads_as_ours() -> None:
    config = parse(PUBLISHED)
    assert (config.config_version, config.domain) == (1, "sfp.acme.com")
    assert (config.workers.critical, config.workers.normal, config.workers.batch) == (1, 3, 2)


def test_one_number_of_workers_is_of_the_normal_ones() -> None:
    assert parse('{"tenant": "a", "domain": "a.b", "workers": 4}').workers.normal == 4


def test_workers_said_twice_are_refused() -> None:
    with pytest.raises(CheckError, match="workerCounts: says the same as workers"):
        parse("tenant: a\ndomain: a.b\nworkers: {normal: 1}\nworkerCounts: 1,1,1\n")


def test_an_older_text_becomes_the_newest_form_and_keeps_its_comments() -> None:
    text = "# ours\ntenant: acme\ndomain: sfp.acme.com # public\nworkerCounts: '1,3,2'\n# end\n"
    after = config_versions.upgraded(text, "f")
    assert after == (
        "# ours\ntenant: acme\ndomain: sfp.acme.com # public\n"
        "config_version: 1\nworkers: {critical: 1, normal: 3, batch: 2}\n# end\n"
    )
    assert parse(after) == parse(text)
    assert config_versions.upgraded(after, "f") == after


def test_json_becomes_the_newest_form_as_json() -> None:
    after = json.loads(config_versions.upgraded(PUBLISHED, "f"))
    assert after["config_version"] == 1
    assert after["workers"] == {"critical": 1, "normal": 3, "batch": 2}


def test_a_newer_form_is_refused_with_the_way_out() -> None:
    with pytest.raises(CheckError) as caught:
        parse("config_version: 2\ntenant: a\nsomething_new: 1\n", "f")
    assert caught.value.message == "f: config_version: is 2, newer than this program knows (1)."
    assert "pip install --upgrade sfp-server" in caught.value.hint


@pytest.mark.parametrize("version", ["x", "true", "-1", "1.0", "null"])
def test_a_version_that_is_no_number_is_wrong(version: str) -> None:
    with pytest.raises(CheckError, match="config_version: must be 1"):
        parse(f"config_version: {version}\ntenant: a\nengine: embedded\n")


def test_every_version_has_its_migration() -> None:
    data, problems = config_versions.newest(yamlfile.read(PUBLISHED, "f").data, "f")
    assert data["config_version"] == config_versions.NEWEST == len(config_versions.MIGRATIONS)
    assert not problems


@pytest.mark.parametrize("text", ["1,2", "1,2,3,4", "a,b,c", "1,,2", "", "-1,1,1", "1;2;3", "²,1,1", 5, None])
def test_counts_are_three_numbers(text: object) -> None:
    assert config_versions.worker_counts(text) is None
