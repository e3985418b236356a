"""Secrets: generated once, for their owner alone, printed never."""

import os
import re
from pathlib import Path

import pytest

from sfp_server.cmd.base import Secret
from sfp_server.errors import CheckError
from sfp_server.ops import secrets
from sfp_server.ops.config import parse
from sfp_server.ops.instance import Instance

EMBEDDED = parse("config_version: 1\ntenant: acme\nengine: embedded\n")
OUTSIDE = parse(
    "config_version: 1\ntenant: acme\nengine: embedded\ndatabase: {url: 'postgresql://o@db/sfp'}\n"
    "objects: {bucket: b, endpoint: 'https://s3'}\n"
)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = Instance(tmp_path, "acme")
    made.folder.mkdir(parents=True)
    return made


def test_what_is_written_is_read_and_only_its_owner_can(instance: Instance) -> None:
    values = {**secrets.generate(), "github-token": Secret('od"d: #\n→')}
    old = os.umask(0)
    try:
        secrets.write(instance, values)
    finally:
        os.umask(old)
    assert instance.secrets_file.stat().st_mode & 0o777 == 0o600
    assert secrets.load(instance) == values


def test_no_value_is_in_what_prints(instance: Instance) -> None:
    values = secrets.generate()
    shown = f"{values} {values!r} {[str(value) for value in values.values()]}"
    assert not [value for value in values.values() if value.reveal() in shown]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused_with_the_command(instance: Instance, mode: int) -> None:
    secrets.write(instance, secrets.generate())
    instance.secrets_file.chmod(mode)
    with pytest.raises(CheckError) as caught:
        secrets.load(instance)
    assert f"can be read by others (mode {mode:04o})" in caught.value.message
    assert caught.value.hint == f"Run: chmod 600 {instance.secrets_file}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("secrets_version: 2\n", "newer than this program knows"),
        ("owner-token: hunter2\n", "secrets_version: must be 1"),
        ("secrets_version: 1\nowner-token: 5\n", "owner-token: must be a text"),
        ("secrets_version: 1\nowner-token: [hunter2\n", "not the YAML"),
        ("hunter2", "holds no settings"),
    ],
)
def test_an_odd_file_is_refused_without_showing_it(instance: Instance, content: str, said: str) -> None:
    instance.secrets_file.write_text(content)
    instance.secrets_file.chmod(0o600)
    with pytest.raises(CheckError) as caught:
        secrets.load(instance)
    assert said in caught.value.message
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_a_file_that_is_gone_is_one_line(instance: Instance) -> None:
    with pytest.raises(CheckError, match=r"cannot read .*no such file"):
        secrets.load(instance)


def test_a_token_has_its_form_and_a_checksum() -> None:
    tokens = {secrets.token() for _ in range(200)}
    assert len(tokens) == 200
    assert all(re.fullmatch(r"sfp_app_[0-9A-Za-z]{36}", token) for token in tokens)


def test_the_checksum_is_the_agreed_one() -> None:
    # The server's own implementation is held to the same value.
    assert secrets._checksum("0" * 30) == _crc("0" * 30)
    assert secrets._checksum("Zz9" * 10) == _crc("Zz9" * 10)


def test_the_hash_of_a_token_is_the_sha_256_of_its_text() -> None:
    assert secrets.token_hash(Secret("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_each_service_gets_what_it_needs_and_no_more() -> None:
    values = secrets.generate()
    given = secrets.secret_files(EMBEDDED, values)
    assert {service: sorted(files) for service, files in given.items()} == {
        "postgres": ["database-admin-password"],
        "redis": ["redis-auth.conf"],
        "api": ["database-password", "redis-password", "signing-key"],
        "critical-worker": ["database-password", "redis-password", "signing-key"],
        "normal-worker": ["database-password", "redis-password", "signing-key"],
        "batch-worker": ["database-password", "redis-password", "signing-key"],
        "migrate": ["database-admin-password", "database-password", "owner-token-hash"],
        "launcher": [],
    }
    assert given["redis"]["redis-auth.conf"].reveal() == f"requirepass {values['redis-password'].reveal()}\n"
    assert given["migrate"]["owner-token-hash"].reveal() == secrets.token_hash(values["owner-token"])


def test_what_lies_outside_needs_keys_and_no_service() -> None:
    given = secrets.secret_files(OUTSIDE, secrets.generate())
    assert "postgres" not in given
    assert {"object-store-access-key", "object-store-secret-key"} < set(given["api"])


def test_a_secret_that_is_missing_is_named() -> None:
    values = {name: value for name, value in secrets.generate().items() if name != "redis-password"}
    with pytest.raises(CheckError, match=r"secrets.yml holds no redis-password"):
        secrets.secret_files(EMBEDDED, values)


def test_the_fingerprint_changes_with_every_secret_and_tells_none() -> None:
    values = secrets.generate()
    prints = {secrets.fingerprint({**values, name: Secret("x" * 8)}) for name in values}
    assert len({secrets.fingerprint(values), *prints}) == len(values) + 1
    assert re.fullmatch("[0-9a-f]{12}", secrets.fingerprint(values))


def _crc(body: str) -> str:
    """The checksum once more, written another way."""
    from zlib import crc32

    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = crc32(body.encode())
    return "".join(alphabet[number // 62**place % 62] for place in range(5, -1, -1))
