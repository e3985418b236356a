"""A bundle that breaks a rule is not written: each rule, broken once."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import yaml

from sfp_server.errors import SfpError
from sfp_server.ops.invariants import check
from tests.golden.compose_cases import CASES, bundle

Breaks = Callable[[dict[str, Any]], object]

GOOD: dict[str, Any] = yaml.safe_load(bundle(CASES["acme-minio-bundled"]).files["compose.yml"])


def set_to(service: str, key: str, value: Any) -> Breaks:
    return lambda services: services[service].update({key: value})


def without(service: str, key: str) -> Breaks:
    return lambda services: services[service].pop(key)


def mounting(service: str, **volume: Any) -> Breaks:
    return lambda services: services[service].setdefault("volumes", []).append(volume)


DIGEST = "sha256:" + "0" * 64
SOCKET = {"type": "bind", "source": "/var/run/docker.sock", "target": "/s", "bind": {"create_host_path": False}}
FOREIGN = {"type": "bind", "source": "/b/tenants/acme/secrets/redis", "target": "/run/secrets", "read_only": True}


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (set_to("redis", "image", "docker.io/library/redis:7.4"), "redis: image is not name:tag@sha256:…"),
        (set_to("redis", "image", f"docker.io/library/redis@{DIGEST}"), "redis: image is not name:tag@sha256:…"),
        (set_to("api-a", "ports", [{"host_ip": "0.0.0.0", "published": "1"}]), "api-a: port 1 is published on 0.0.0.0"),
        (set_to("caddy", "ports", [{"published": "1"}]), "caddy: port 1 names no address of the host"),
        (set_to("redis", "networks", ["app-network"]), "redis: holds data and stands on app-network"),
        (set_to("redis", "networks", ["nowhere"]), "redis: network nowhere is not defined"),
        (set_to("launcher", "network_mode", "host"), "launcher: network_mode is host"),
        (without("launcher", "network_mode"), "launcher: stands on the default network"),
        (without("minio", "healthcheck"), "minio: has no health check"),
        (set_to("minio", "healthcheck", {"test": ["CMD", "x"]}), "minio: its health check does not look"),
        (without("api-b", "mem_limit"), "api-b: has no mem_limit"),
        (set_to("api-b", "cpus", 0), "api-b: has no cpus"),
        (without("api-b", "pids_limit"), "api-b: has no pids_limit"),
        (set_to("caddy", "restart", "always"), "caddy: restart is not unless-stopped"),
        (without("migrate", "profiles"), "migrate: is a job, and has no profile"),
        (set_to("caddy", "logging", {"driver": "json-file"}), "caddy: its log is not rotated"),
        (without("postgres", "security_opt"), "postgres: may gain privileges"),
        (without("postgres", "cap_drop"), "postgres: has capabilities that it needs not"),
        (set_to("postgres", "cap_add", ["CHOWN"]), "postgres: has capabilities that it needs not"),
        (without("postgres", "read_only"), "postgres: may write to its own system"),
        (set_to("postgres", "user", "postgres"), "postgres: has no fixed user and group"),
        (mounting("api-a", **SOCKET), "api-a: holds the Docker socket; only launcher may"),
        (mounting("api-a", type="volume", source="launcher", target="/l"), "api-a: can reach the socket of launcher"),
        (mounting("api-a", type="volume", source="x", target="/x"), "api-a: volume x is not defined"),
        (mounting("api-a", type="bind", source="/x", target="/x"), "api-a: would make /x on the host"),
        (mounting("api-a", **FOREIGN), "which is not its own folder of secrets"),
        (mounting("api-a", **{**FOREIGN, "source": "/b/tenants/acme/secrets/api", "read_only": False}), "read-only"),
        (
            set_to("caddy", "depends_on", {"api": {"condition": "service_healthy"}}),
            "depends on api, which is not there",
        ),
        (set_to("caddy", "depends_on", {"api-a": {"condition": "service_started"}}), "does not wait until api-a is"),
        (set_to("api-a", "environment", {"A": "b"}), "api-a: has environment"),
        (set_to("api-a", "privileged", True), "api-a: has privileged"),
        (without("api-a", "env_file"), "api-a: has no environment file"),
    ],
)
def test_a_broken_rule_is_told_with_its_service(breaks: Breaks, said: str) -> None:
    broken = deepcopy(GOOD)
    breaks(broken["services"])
    with pytest.raises(SfpError) as caught:
        check(broken)
    assert said in caught.value.message


def test_everything_that_is_wrong_is_told_at_once() -> None:
    broken = deepcopy(GOOD)
    without("redis", "read_only")(broken["services"])
    without("caddy", "mem_limit")(broken["services"])
    with pytest.raises(SfpError) as caught:
        check(broken)
    assert caught.value.message.splitlines()[1:] == [
        "  redis: may write to its own system",
        "  caddy: has no mem_limit",
    ]


def test_what_is_rendered_breaks_none() -> None:
    check(GOOD)
