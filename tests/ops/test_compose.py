"""What a change of settings or secrets changes in a Compose bundle, and that nothing else does."""

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from sfp_server.cmd.base import Secret
from sfp_server.errors import CheckError, SfpError, UsageError
from sfp_server.ops import composefile, releases
from sfp_server.ops.config import parse
from sfp_server.ops.instance import Instance
from sfp_server.ops.release import manifest
from sfp_server.ops.render import Bundle, render
from tests.golden.compose_cases import CASES, DATABASES, HEAD, INSTANCE, RELEASE, STORES, TLS, VALUES, bundle

WORKERS = {"critical-worker", "normal-worker", "batch-worker"}
APIS = {"api-a", "api-b"}
BASE = CASES["acme-minio-bundled"]


def services(made: Bundle) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(made.files["compose.yml"])["services"]
    return found


def changed(before: Bundle, after: Bundle) -> set[str]:
    """The files that differ, but for the manifest, which differs with each of them."""
    paths = before.files.keys() | after.files.keys()
    found = {path for path in paths if before.files.get(path) != after.files.get(path)}
    assert ("manifest.json" in found) == (before.hash != after.hash)
    return found - {"manifest.json"}


def remade(before: Bundle, after: Bundle) -> set[str]:
    """The services that Docker would make anew: Compose compares what stands in their lines, labels among it."""
    old, new = services(before), services(after)
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def env(*names: str) -> set[str]:
    return {f"env/{name}.env" for name in names}


@pytest.mark.parametrize(
    ("setting", "files", "anew"),
    [
        ("workers: {normal: 4}", env(*WORKERS), WORKERS),
        ("tasks: {attempts: 5}", env("api"), APIS),
        ("tasks: {timeout: 2h}", env("api"), APIS),
        ("resources: {sandbox: {memory: 4g}}", env("launcher"), {"launcher"}),
        ("tls: {email: admin@acme.com}", {"Caddyfile"}, set()),
        ("tls: {staging: true}", {"Caddyfile"}, set()),
        ("tls: {mode: internal}", {"Caddyfile"}, set()),
        ("tls: {trusted_proxies: [192.0.2.1]}", {"Caddyfile"}, set()),
        ("http: {port: 4029}", set(), {"caddy"}),
        ("http: {ipv6: true}", set(), {"caddy"}),
        ("release: {version: 1.4.0}", set(), set()),
        ("toolchain: off", set(), set()),
        ("deployment: managed", env("api", "migrate", "launcher", *WORKERS), APIS | WORKERS | {"migrate", "launcher"}),
    ],
)
def test_a_setting_changes_what_it_concerns(setting: str, files: set[str], anew: set[str]) -> None:
    before, after = bundle(BASE), bundle(BASE + setting + "\n")
    assert remade(before, after) == anew
    assert changed(before, after) - {"compose.yml"} == files
    assert ("compose.yml" in changed(before, after)) == bool(anew)


def test_another_host_name_leaves_data_alone() -> None:
    before, after = bundle(BASE), bundle(BASE.replace("sfp.acme.com", "sfp.acme.org"))
    assert remade(before, after) == APIS | WORKERS | {"migrate"}
    assert "Caddyfile" in changed(before, after)


def test_another_release_makes_anew_what_is_other_in_it() -> None:
    images = {**RELEASE.images, "server": replace(RELEASE.images["server"], digest="sha256:" + "0" * 64)}
    release = replace(RELEASE, version="1.2.4", images=images)
    after = render(parse(HEAD + BASE), release, INSTANCE, VALUES)
    assert remade(bundle(BASE), after) == APIS | WORKERS | {"migrate", "launcher"}


@pytest.mark.parametrize(
    ("secret", "anew"),
    [
        ("database-admin-password", {"postgres", "migrate"}),
        ("database-password", APIS | WORKERS | {"migrate"}),
        ("redis-password", APIS | WORKERS | {"redis"}),
        ("signing-key", APIS | WORKERS),
        ("owner-token", {"migrate"}),
        ("object-store-access-key", APIS | WORKERS | {"minio"}),
        ("object-store-secret-key", APIS | WORKERS | {"minio"}),
        ("bundle-key", APIS | WORKERS | {"postgres", "redis", "minio", "migrate"}),
    ],
)
def test_a_rotation_makes_anew_who_holds_the_secret(secret: str, anew: set[str]) -> None:
    after = bundle(BASE, {**VALUES, secret: Secret("another-one-of-them")})
    assert remade(bundle(BASE), after) == anew
    assert changed(bundle(BASE), after) == {"compose.yml"}


def test_what_redis_reads_makes_redis_anew(tmp_path: Path) -> None:
    """Its path on the host stays, so only the label can tell."""
    one, other = bundle(BASE), bundle(BASE, instance=Instance(tmp_path, "acme"))
    assert one.files["redis.conf"] == other.files["redis.conf"]
    label = services(one)["redis"]["labels"]["sfp.config"]
    assert label == services(other)["redis"]["labels"]["sfp.config"] != services(one)["minio"]["labels"]["sfp.config"]


def test_what_a_switch_changes_is_put_there_once() -> None:
    once = [place.source for place in bundle(BASE).places if place.once]
    assert once == ["upstream.caddy"]


def test_a_certificate_is_copied_for_caddy_alone() -> None:
    made = bundle(CASES["files-minio-bundled"])
    copies = {place.path: place for place in made.places if place.kind == "copy"}
    folder = f"{INSTANCE.secrets}/caddy"
    assert {path: place.source for path, place in copies.items()} == {
        f"{folder}/certificate.pem": "/etc/ssl/sfp/chain.pem",
        f"{folder}/key.pem": "/etc/ssl/sfp/key.pem",
    }
    assert {(place.uid, place.mode) for place in copies.values()} == {(10003, 0o400)}
    assert folder in [volume["source"] for volume in services(made)["caddy"]["volumes"]]


def test_status_calls_the_two_places_of_the_api_one() -> None:
    assert bundle(BASE).services == (
        "postgres", "redis", "minio", "api", "launcher", "critical-worker", "normal-worker", "batch-worker", "caddy",
    )  # fmt: skip


def test_a_secret_that_is_part_of_a_setting_is_refused() -> None:
    with pytest.raises(SfpError, match=r"redis-password of secrets\.yml would stand in .*Caddyfile|env/"):
        bundle(BASE, {**VALUES, "redis-password": Secret("sfp.acme.com")})


_DOMAINS = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?\.[a-z]{2,8}", fullmatch=True)
_TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=20)
_CONFIGS = st.fixed_dictionaries(
    {"domain": _DOMAINS},
    optional={
        "deployment": st.sampled_from(["self", "managed"]),
        "workers": st.fixed_dictionaries(
            {}, optional={name: st.integers(0, 10) for name in ("critical", "normal", "batch")}
        ),
        "tasks": st.fixed_dictionaries({"attempts": st.integers(1, 10), "timeout": st.integers(1, 600_000)}),
        "resources": st.fixed_dictionaries(
            {"sandbox": st.fixed_dictionaries({"memory": st.integers(1 << 26, 1 << 40), "cpus": st.floats(0.1, 256)})}
        ),
        "tls": st.one_of(
            st.fixed_dictionaries({"mode": st.sampled_from(["acme", "internal", "off"]), "staging": st.booleans()}),
            st.builds(lambda name: {"mode": "files", "certificate": f"/{name}", "key": "/key.pem"}, _TEXT),
        ),
        "database": st.builds(lambda name: {"url": f"postgresql://owner@db.acme.com/{name}"}, _TEXT),
        "objects": st.one_of(
            st.sampled_from(["bundled", "minio", "seaweedfs"]),
            st.builds(lambda path: {"bucket": "b", "endpoint": f"https://s3.acme.com/{path}"}, _TEXT),
        ),
        "http": st.fixed_dictionaries({"port": st.integers(1, 65535), "ipv6": st.booleans()}),
    },
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_CONFIGS, st.randoms(use_true_random=False))
def test_any_settings_render_to_one_bundle_whatever_their_order(data: dict[str, Any], order: random.Random) -> None:
    head = {"config_version": 1, "tenant": "acme"}
    try:
        config = parse(yaml.safe_dump({**head, **data}, allow_unicode=True, sort_keys=False))
    except CheckError:
        reject()  # an address that is none
    again = parse(yaml.safe_dump(_shuffled({**head, **data}, order), allow_unicode=True, sort_keys=False))
    made = render(config, RELEASE, INSTANCE, VALUES)
    shuffled = dict(_shuffled(dict(VALUES), order))
    assert made == render(again, RELEASE, INSTANCE, shuffled)
    assert yaml.safe_load(made.files["compose.yml"])["name"] == "sfp-acme"


def _shuffled(data: Mapping[str, Any], order: random.Random) -> dict[str, Any]:
    keys = list(data)
    order.shuffle(keys)
    return {key: _shuffled(data[key], order) if isinstance(data[key], dict) else data[key] for key in keys}


_VALUES = st.recursive(
    _TEXT | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(_VALUES)
def test_whatever_stands_in_a_document_is_read_back(value: Any) -> None:
    document = {"name": "n", "services": {"s": {"x-about": "a", "value": value}}, "networks": {}, "volumes": {}}
    read = yaml.safe_load(composefile.text(document, "head"))
    assert _undoubled(read["services"]["s"]["value"]) == value


@pytest.mark.parametrize(
    "word", ["1e5", "12:30", "0x1f", "010", "yes", "No", "~", "1_000", "=", "<<", ".inf", "1.5", ""]
)
def test_a_text_that_looks_like_something_else_stays_a_text(word: str) -> None:
    document = {"name": "n", "services": {}, "networks": {"word": word}, "volumes": {}}
    assert f'word: "{word}"' in composefile.text(document, "head").decode()


def _undoubled(value: Any) -> Any:
    if isinstance(value, dict):
        return {_undoubled(key): _undoubled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_undoubled(item) for item in value]
    return value.replace("$$", "$") if isinstance(value, str) else value


def test_an_environment_file_has_a_variable_a_line() -> None:
    with pytest.raises(SfpError, match="NAME would break a line"):
        composefile.environment({"NAME": "a\nB=c"})
    assert composefile.environment({"A": "b", "C": "d e", "F": "it's $5"}) == b"A=b\nC='d e'\nF=\"it's \\$5\"\n"


def test_the_release_is_the_one_that_is_named(tmp_path: Path) -> None:
    instance = Instance(tmp_path, "acme")
    instance.folder.mkdir(parents=True)
    (instance.folder / "release.json").write_text(manifest(RELEASE))
    named = parse(HEAD + BASE + "release: {file: release.json}\n")
    assert releases.chosen(named, instance) == RELEASE
    with pytest.raises(CheckError, match=r"cannot read the release .*: no such file") as caught:
        releases.chosen(named, instance, tmp_path / "other.json")
    assert "release.file" in caught.value.hint
    with pytest.raises(CheckError, match="no release is named that could run"):
        releases.chosen(parse(HEAD + BASE), instance)


def test_the_embedded_engine_runs_what_is_installed(tmp_path: Path) -> None:
    embedded = parse(HEAD + "engine: embedded\n")
    assert releases.chosen(embedded, INSTANCE).version == releases.release.installed().version
    with pytest.raises(UsageError, match="engine embedded runs the installed package"):
        releases.chosen(embedded, INSTANCE, tmp_path)


def test_every_way_is_among_the_cases() -> None:
    assert len(CASES) >= len(TLS) * len(STORES) * len(DATABASES)
