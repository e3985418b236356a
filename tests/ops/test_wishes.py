"""What is asked of `init`: flags above the file, the file's secrets, a port that is free."""

import contextlib
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from sfp_server.cmd.base import Secret
from sfp_server.errors import CheckError, SfpError, UsageError
from sfp_server.ops import wishes
from sfp_server.ops.instance import Instance
from sfp_server.ops.wishes import NOTHING

PUBLISHED = {
    "tenant": "acme",
    "domain": "sfp.acme.com",
    "workerCounts": "1,2,1",
    "secrets": {"DOCKER_REGISTRY_TOKEN": "dckr", "github-token": "gh"},
}


def file(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "server.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def instance(base: Path, tenant: str, text: str = "") -> Instance:
    made = Instance(base, tenant)
    made.folder.mkdir(parents=True)
    made.settings_file.write_text(text)
    return made


def test_the_published_file_gives_settings_and_secrets(tmp_path: Path) -> None:
    found = wishes.from_file(file(tmp_path, PUBLISHED))
    assert found.settings == {
        "tenant": "acme", "domain": "sfp.acme.com", "config_version": 1,
        "workers": {"critical": 1, "normal": 2, "batch": 1},
    }  # fmt: skip
    assert found.secrets == {"docker-registry-token": Secret("dckr"), "github-token": Secret("gh")}


def test_flags_stand_above_the_file_and_what_is_not_said_is_not_asked(tmp_path: Path) -> None:
    found = wishes.from_file(file(tmp_path, PUBLISHED))
    asked = found.and_also({"domain": "x.y", "engine": None, "workers": {"normal": 5}, "http": {"port": None}})
    assert asked.get("domain") == "x.y"
    assert asked.get("workers") == {"critical": 1, "normal": 5, "batch": 1}
    assert "engine" not in asked.settings
    assert "http" not in asked.settings


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"secrets": {"A": 5}}, "secrets.A: must be a text"),
        ({"secrets": "hunter2"}, "secrets: must be a mapping"),
        ({"workerCounts": "1"}, "line 1: workerCounts: must be three numbers"),
        ({"config_version": 9}, "newer than this program knows"),
        ("{", "not the YAML"),
    ],
)
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(CheckError) as caught:
        wishes.from_file(file(tmp_path, content))
    assert said in caught.value.message
    assert "hunter2" not in caught.value.message


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*: no such file"):
        wishes.from_file(tmp_path / "none")


@pytest.mark.parametrize(
    ("settings", "mode", "needed"),
    [
        ({}, None, True),
        ({}, "prod", True),
        ({}, "dev", False),
        ({"engine": "embedded"}, None, False),
        ({"domain": "a.b"}, None, False),
        ({"target": "aws"}, "dev", True),
        ({"tls": {"mode": "off"}}, None, False),
    ],
)
def test_who_needs_a_host_name(settings: dict[str, Any], mode: str | None, needed: bool) -> None:
    assert NOTHING.and_also(settings).needs_domain(mode) is needed


def test_secrets_of_what_exists_have_to_be_given() -> None:
    asked = NOTHING.and_also({"database": {"url": "postgresql://o@h/d"}, "objects": "bundled"})
    assert asked.needs_secrets() == ["database-admin-password"]
    assert asked.with_secrets({"database-admin-password": Secret("x")}).needs_secrets() == []


def test_a_trial_without_a_host_name_ends_no_tls(tmp_path: Path) -> None:
    here = Instance(tmp_path, "acme")
    assert wishes.for_new(NOTHING, here, "dev").get("tls", "mode") == "off"
    assert wishes.for_new(NOTHING.and_also({"domain": "a.b"}), here, "dev").get("tls", "mode") is None


def test_the_port_is_the_first_that_nothing_uses(tmp_path: Path) -> None:
    instance(tmp_path, "one", f"http: {{port: {wishes.FIRST_PORT}}}\n")
    instance(tmp_path, "broken", "http: [")
    with socket.socket() as busy:
        with contextlib.suppress(OSError):  # something of this machine has it already: as good
            busy.bind(("127.0.0.1", wishes.FIRST_PORT + 1))
        chosen = wishes.port(Instance(tmp_path, "two"), None)
    assert chosen > wishes.FIRST_PORT + 1
    assert wishes.port(Instance(tmp_path, "one"), 4000) == 4000


def test_a_port_of_another_tenant_is_refused(tmp_path: Path) -> None:
    instance(tmp_path, "one", "tenant: one\n")
    with pytest.raises(SfpError, match=f"port {wishes.FIRST_PORT} belongs to tenant one"):
        wishes.port(Instance(tmp_path, "two"), wishes.FIRST_PORT)
