"""Docker's words as they were recorded, and what people are told.

Engine 26.1 with both image stores and Compose 2.26 on a real machine, where no other is named.
"""

import pytest

from sfp_server.engine.dockerd.refusals import ANY, PULL, START, explain, refused

A = "a" * 64
IMAGE = f"registry.example.com/sfp/api:1.2.3@sha256:{A}"
DAEMON = "Error response from daemon: "
RESOLVE = f'{DAEMON}failed to resolve reference "registry.example.com/sfp/api@sha256:{A}": '
HEAD = f'{RESOLVE}failed to do request: Head "https://registry.example.com/v2/sfp/api/manifests/sha256:{A}": '
FS_LAYER = "ada3b0dcdbed: Pulling fs layer\nada3b0dcdbed: Retrying in 1 second\n"

NOT_ITS_DIGEST = f"what the registry sent for {IMAGE} is not what its digest says."
SIGN_IN = f"the registry wants a sign-in: {IMAGE}."
NOT_THERE = f"{IMAGE} is not in its registry."
NO_ANSWER = f"the registry does not answer: {IMAGE}."
GONE = f"the registry went away in the middle of the pull of {IMAGE}."
FULL = f"the disk is full: {IMAGE}."


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f"manifest verification failed for digest sha256:{A}", NOT_ITS_DIGEST),
        (
            f'{DAEMON}failed commit on ref "index-sha256:{A}": commit failed: unexpected commit digest sha256:e4, '
            f"expected sha256:{A}: failed precondition",
            NOT_ITS_DIGEST,
        ),
        (f"filesystem layer verification failed for digest sha256:{A}", NOT_ITS_DIGEST),
        (
            f'{DAEMON}Get "https://registry.example.com/v2/sfp/api/manifests/sha256:{A}": no basic auth credentials',
            SIGN_IN,
        ),
        (
            f"{RESOLVE}pull access denied, repository does not exist or may require authorization: authorization "
            "failed: no basic auth credentials",
            SIGN_IN,
        ),
        (f'{DAEMON}Head "https://registry.example.com/v2/sfp/api/manifests/1": unauthorized', SIGN_IN),
        (f"{DAEMON}denied: requested access to the resource is denied", SIGN_IN),
        (f"{DAEMON}manifest unknown", NOT_THERE),
        (f"{DAEMON}manifest for registry.example.com/sfp/api@sha256:{A} not found: manifest unknown", NOT_THERE),
        (f"{RESOLVE}registry.example.com/sfp/api@sha256:{A}: not found", NOT_THERE),
        (f'{DAEMON}Get "https://r/v2/": dial tcp 127.0.0.1:5999: connect: connection refused', NO_ANSWER),
        (f"{HEAD}dial tcp 127.0.0.1:5999: connect: connection refused", NO_ANSWER),
        (f'{DAEMON}Get "https://r/v2/": dial tcp: lookup r on 10.0.0.2:53: no such host', NO_ANSWER),
        (f"{HEAD}dial tcp: lookup registry.invalid on 10.0.0.2:53: no such host", NO_ANSWER),
        (
            f'{DAEMON}Get "https://r/v2/": net/http: request canceled while waiting for connection (Client.Timeout '
            "exceeded while awaiting headers)",
            NO_ANSWER,
        ),
        (f"{FS_LAYER}ada3b0dcdbed: Downloading\ndial tcp 127.0.0.1:3: connect: connection refused", GONE),
        (f"{FS_LAYER}unexpected EOF", GONE),
        (
            "ada3b0dcdbed: Pulling fs layer\nfailed to copy: httpReadSeeker: failed open: failed to do request: Get "
            f'"https://r/v2/toy/blobs/sha256:{A}": dial tcp 127.0.0.1:3: connect: connection reset by peer',
            GONE,
        ),
        ("write /var/lib/docker/tmp/GetImageBlob1989952915: no space left on device", FULL),
        ("504ed4f97348: Download complete\nfailed to register layer: write /file: no space left on device", FULL),
        (
            "no matching manifest for linux/amd64 in the manifest list entries",
            f"{IMAGE} is not made for this machine (linux/amd64).",
        ),
        (
            f"{DAEMON}no match for platform in manifest: not found",
            f"{IMAGE} is not made for this machine's architecture.",
        ),
        (
            f'{DAEMON}Get "https://r/v2/": tls: failed to verify certificate: x509: certificate signed by unknown '
            "authority",
            f"the registry's certificate is not trusted: {IMAGE}.",
        ),
        (
            f"{DAEMON}toomanyrequests: You have reached your pull rate limit.",
            f"the registry limits how often it is asked: {IMAGE}.",
        ),
    ],
)
def test_a_pull_that_failed(said: str, told: str) -> None:
    error = explain(said, IMAGE, PULL)
    assert error is not None
    assert error.message == told
    assert error.hint
    assert "{" not in error.hint


ENDPOINT = f"{DAEMON}driver failed programming external connectivity on endpoint sfp-acme-caddy-1 ({A}): "
CREATED = " Container sfp-acme-caddy-1  Created\n Container sfp-acme-caddy-1  Starting\n"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f"{CREATED}{ENDPOINT}Bind for 127.0.0.1:443 failed: port is already allocated", "port 443 is taken."),
        (
            f"{CREATED}{ENDPOINT}Error starting userland proxy: listen tcp4 127.0.0.1:443: bind: address already in "
            "use",
            "port 443 is taken.",
        ),
        (  # Engine 28
            f"{ENDPOINT}failed to bind host port for 0.0.0.0:443:172.18.0.2:443/tcp: address already in use",
            "port 443 is taken.",
        ),
        (  # Engine 28.2
            f"{ENDPOINT}failed to bind host port 0.0.0.0:443/tcp: address already in use",
            "port 443 is taken.",
        ),
        (f"{ENDPOINT}Bind for :::80 failed: port is already allocated", "port 80 is taken."),
        (f"{DAEMON}No such image: {IMAGE}", f"an image of this release is not on this machine: {IMAGE}."),
        (
            f'{DAEMON}invalid mount config for type "bind": bind source path does not exist: /opt/acme/key.pem',
            "a file of this release is not there: /opt/acme/key.pem.",
        ),
        (
            "env file /opt/acme/env/api.env not found: stat /opt/acme/env/api.env: no such file or directory",
            "a file of this release is not there: /opt/acme/env/api.env.",
        ),
        (
            "failed to create network sfp-acme_data: Error response from daemon: could not find an available, "
            "non-overlapping IPv4 address pool among the defaults to assign to the network",
            "Docker has no addresses left for another network.",
        ),
        (  # Compose 2.26 on Engine 24
            "can't set healthcheck.start_interval as feature require Docker Engine v25 or later",
            "this Docker Engine is too old: 25 or newer is needed.",
        ),
        (
            f"{DAEMON}mkdir /var/lib/docker/overlay2/{A}: no space left on device",
            "the disk is full: the start.",
        ),
    ],
)
def test_a_start_that_failed(said: str, told: str) -> None:
    error = explain(said, "the start", START)
    assert error is not None
    assert error.message == told
    assert error.hint


def test_what_listens_on_a_port_can_be_looked_up() -> None:
    error = explain(f"{ENDPOINT}Bind for 0.0.0.0:443 failed: port is already allocated", "the start")
    assert error is not None
    assert "sport = :443" in error.hint


@pytest.mark.parametrize(
    "said",
    [
        "application not healthy after 10s",
        "timeout waiting for application to be healthy",
        "container sfp-acme-api-1 is unhealthy",
        "dependency failed to start: container sfp-acme-postgres-1 exited (1)",
        "context deadline exceeded",
    ],
)
def test_waiting_is_no_trouble_with_a_registry(said: str) -> None:
    assert explain(said, "the start", START) is None


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "Docker does not run.",
        ),
        (  # 29
            "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct and if "
            "the daemon is running: dial unix /var/run/docker.sock: connect: no such file or directory",
            "Docker does not run.",
        ),
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get "
            '"http://%2Fvar%2Frun%2Fdocker.sock/v1.50/version": dial unix /var/run/docker.sock: connect: permission '
            "denied",
            "this user may not use Docker.",
        ),
        (  # 29
            "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock",
            "this user may not use Docker.",
        ),
    ],
)
def test_docker_itself(said: str, told: str) -> None:
    for known in (ANY, PULL, START):
        error = explain(said, "", known)
        assert error is not None
        assert error.message == told


def test_new_words_are_told_as_they_are() -> None:
    assert refused(f"Pulling\n{DAEMON}the moon is full\n\n", "pulling").message == "pulling failed: the moon is full"
    assert refused("", "pulling").message == "pulling failed: Docker said nothing"
