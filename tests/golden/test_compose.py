"""Compose bundles, file by file, and what holds for every one of them: asserted on what Compose would read."""

import json
import re
from functools import cache
from hashlib import sha256
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from sfp_server.ops.config import parse
from sfp_server.ops.instance import Instance
from sfp_server.ops.invariants import DATA
from sfp_server.ops.render import render
from tests.golden.compare import HERE, golden
from tests.golden.compose_cases import CASES, HEAD, INSTANCE, RELEASE, REVIEWED, VALUES, bundle

PINNED = re.compile(r"registry\.example\.com/sfp/[a-z]+:[\w.-]+@sha256:[0-9a-f]{64}")
every_case = pytest.mark.parametrize("case", CASES)


@cache
def document(case: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(bundle(CASES[case]).files["compose.yml"])
    return read


def services(case: str) -> dict[str, Any]:
    found: dict[str, Any] = document(case)["services"]
    return found


@pytest.mark.parametrize("case", REVIEWED)
def test_the_bundle_is_the_reviewed_one(case: str) -> None:
    files = bundle(CASES[case]).files
    for path, content in files.items():
        golden(f"compose/{case}/{path}", content.decode())
    there = {str(path.relative_to(HERE / "compose" / case)) for path in (HERE / "compose" / case).rglob("*.*")}
    there |= {"Caddyfile"}  # the one name without a dot
    assert there == set(files)


@every_case
def test_the_manifest_names_every_file_with_its_hash_and_every_image(case: str) -> None:
    made = bundle(CASES[case])
    manifest = json.loads(made.files["manifest.json"])
    rest = {path: content for path, content in made.files.items() if path != "manifest.json"}
    assert manifest["files"] == {path: sha256(content).hexdigest() for path, content in rest.items()}
    run = {service["image"] for service in services(case).values()}
    assert run == set(manifest["images"].values()) - {manifest["images"]["worker"]}
    assert manifest["images"]["worker"].encode() in made.files["env/launcher.env"]


@every_case
def test_every_image_is_pinned(case: str) -> None:
    for service in services(case).values():
        assert PINNED.fullmatch(service["image"])


@every_case
def test_only_caddy_is_reached_from_beyond_the_machine(case: str) -> None:
    found = services(case)
    assert [name for name, service in found.items() if "ports" in service] == ["caddy"]
    hosts = {(port["host_ip"], port["target"]) for port in found["caddy"]["ports"]}
    private = {target for host, target in hosts if ip_address(host).is_loopback}
    assert 3029 in private or case.startswith("proxy")
    if "domain" not in CASES[case]:
        assert all(ip_address(host).is_loopback for host, _ in hosts)


@every_case
def test_the_ports_are_those_of_the_way_of_tls(case: str) -> None:
    found = services(case)["caddy"]["ports"]
    public = {(port["published"], port["protocol"]) for port in found if port["target"] != 3029}
    assert public == (set() if "mode: off" in CASES[case] else {("80", "tcp"), ("443", "tcp"), ("443", "udp")})
    six = {port["host_ip"] for port in found if port["target"] == 443} - {"0.0.0.0", "127.0.0.1"}
    assert six == ({"::"} if "ipv6: true" in CASES[case] and public else set())


@every_case
def test_every_service_is_watched_and_limited(case: str) -> None:
    for name, service in services(case).items():
        assert service["mem_limit"]
        assert service["cpus"] <= 2, "a machine may have no more, and Docker refuses what it has not"
        assert service["pids_limit"]
        assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}
        if name == "migrate":
            assert (service["restart"], service["profiles"]) == ("no", ["job"])
        else:
            assert service["restart"] == "unless-stopped"
            assert service["healthcheck"]["start_interval"] == "1s"
            assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


@every_case
def test_no_service_may_more_than_it_needs(case: str) -> None:
    for name, service in services(case).items():
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["cap_drop"] == ["ALL"]
        assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "caddy" else [])
        assert service["read_only"] is True
        assert service["tmpfs"]
        assert service["user"].startswith("0:") == (name in ("launcher", "minio"))
        assert not service.keys() & {"build", "privileged", "environment", "develop", "devices", "pid", "secrets"}


@every_case
def test_data_stands_on_internal_networks_and_the_launcher_on_none(case: str) -> None:
    whole = document(case)
    internal = {name for name, network in whole["networks"].items() if network.get("internal")}
    for name, service in whole["services"].items():
        joined = set(service.get("networks", ()))
        assert joined <= set(whole["networks"])
        assert joined <= internal if name in DATA else True
        assert service.get("network_mode") == ("none" if name == "launcher" else None)
    assert "app-network" not in internal
    assert "data" not in whole["services"]["caddy"]["networks"]


@every_case
def test_services_start_in_order_each_when_the_one_before_is_healthy(case: str) -> None:
    found = services(case)
    data = [name for name in DATA if name in found]
    for name, service in found.items():
        assert all(how["condition"] == "service_healthy" for how in service.get("depends_on", {}).values())
        assert set(service.get("depends_on", {})) <= set(found), name
    for slot in ("api-a", "api-b"):
        assert list(found[slot]["depends_on"]) == data
        assert found[slot]["profiles"] == [slot]
    for worker in ("critical-worker", "normal-worker", "batch-worker"):
        assert list(found[worker]["depends_on"]) == ["api-a", "api-b", "launcher"]
        assert worker in found["caddy"]["depends_on"]
    assert list(found["launcher"]["depends_on"]) == ["api-a", "api-b"]
    assert all(found["caddy"]["depends_on"][slot]["required"] is False for slot in ("api-a", "api-b"))


@every_case
def test_the_docker_socket_is_the_launchers_and_its_own_socket_the_workers(case: str) -> None:
    found = services(case)
    mounts = {name: [volume["source"] for volume in service.get("volumes", ())] for name, service in found.items()}
    assert [name for name, sources in mounts.items() if "/var/run/docker.sock" in sources] == ["launcher"]
    holders = {name for name, sources in mounts.items() if "launcher" in sources}
    assert holders == {"launcher", "critical-worker", "normal-worker", "batch-worker"}


@every_case
def test_nothing_is_made_on_the_host_and_nothing_depends_on_the_bundles_folder(case: str) -> None:
    for service in services(case).values():
        for volume in service.get("volumes", ()):
            if volume["type"] == "bind":
                assert volume["bind"] == {"create_host_path": False}
                assert volume["source"].startswith(("/opt/sfp-server/tenants/acme/", "/var/run/docker.sock"))
                assert "/releases/" not in volume["source"]
                assert volume.get("read_only") is True or volume["source"] == "/var/run/docker.sock"


@every_case
def test_every_mount_of_the_instance_is_put_in_place_before(case: str) -> None:
    """And each secret belongs to the user who reads it, alone."""
    places = {place.path: place for place in bundle(CASES[case]).places}
    for service in services(case).values():
        for volume in service.get("volumes", ()):
            if volume["source"].startswith("/opt/"):
                assert places[volume["source"]].kind == "folder"
            if volume["target"] == "/run/secrets":
                uid = int(service["user"].partition(":")[0])
                inside = [place for place in places.values() if place.path.startswith(volume["source"])]
                assert {place.uid for place in inside} == {uid}
                assert {place.mode for place in inside} == {0o700, 0o400}
    seen: set[str] = set()
    for place in places.values():
        assert place.kind == "folder" or str(PurePosixPath(place.path).parent) in seen
        seen.add(place.path)


@every_case
def test_no_secret_is_in_a_bundle(case: str) -> None:
    everything = b"\n".join(bundle(CASES[case]).files.values()).decode()
    for value in VALUES.values():
        assert value.reveal() not in everything
        assert sha256(value.reveal().encode()).hexdigest() not in everything


@every_case
def test_every_file_is_text_that_ends_with_a_line(case: str) -> None:
    for path, content in bundle(CASES[case]).files.items():
        lines = content.decode().splitlines()
        assert content.endswith(b"\n") or not content, path
        assert [line for line in lines if line != line.rstrip()] == [], path
        if path == "compose.yml":
            assert [line for line in lines if len(line) > 120 and "image:" not in line] == []


def test_what_lies_outside_is_not_run() -> None:
    found = services("acme-bucket-outside")
    assert not {"postgres", "minio", "seaweedfs"} & set(found)
    assert found["migrate"]["networks"] == ["app-network"], "there is a way to the database"
    assert document("acme-bucket-outside")["volumes"].keys() == {"redis", "launcher", "caddy"}


def test_the_volume_of_the_database_bears_its_major() -> None:
    whole = document("acme-minio-bundled")
    assert "pgdata-16" in whole["volumes"]
    assert b"--locale=C" in bundle(CASES["acme-minio-bundled"]).files["env/postgres.env"]


def test_two_tenants_share_nothing() -> None:
    other = bundle(CASES["ipv6"]).files["compose.yml"].decode()
    text = (HEAD + CASES["ipv6"]).replace("tenant: acme", "tenant: other")
    made = render(parse(text), RELEASE, Instance(INSTANCE.base, "other"), VALUES).files["compose.yml"].decode()
    assert "acme" not in made.replace("sfp.acme.com", "")
    first, second = yaml.safe_load(other), yaml.safe_load(made)
    assert first["name"] != second["name"]
    assert first["networks"]["app-network"]["ipam"] != second["networks"]["app-network"]["ipam"]
