"""The API as a process: it starts, serves, says what it does, outlives its database, and ends when asked."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.conftest import OWNER_TOKEN, FreshDatabase
from tests.waiting import eventually

OWNER = {"Authorization": f"Bearer {OWNER_TOKEN}"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(environment: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "sfp_server.server", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def listening(environment: Mapping[str, str]) -> Mapping[str, str]:
    return {**environment, "SFP_LISTEN": f"127.0.0.1:{_free_port()}"}


@contextmanager
def _started(environment: Mapping[str, str], folder: Path) -> "Iterator[subprocess.Popen[bytes]]":
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sfp_server.server", "api"],
            env={"PATH": os.environ["PATH"], **environment},
            stderr=log,
        )
        try:
            eventually(lambda: _serves(process, environment, folder), 30)
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def api(listening: Mapping[str, str], tmp_path: Path) -> "Iterator[subprocess.Popen[bytes]]":
    with _started(listening, tmp_path) as process:
        yield process


def _serves(process: "subprocess.Popen[bytes]", environment: Mapping[str, str], folder: Path) -> bool:
    assert process.poll() is None, (folder / "log").read_text()
    try:
        return httpx.get(_url(environment, "ping")).status_code == 200
    except httpx.TransportError:
        return False


def _url(environment: Mapping[str, str], path: str) -> str:
    return f"http://{environment['SFP_LISTEN']}/sfp/api/{path}"


def test_it_serves_and_ends_when_asked(
    api: "subprocess.Popen[bytes]", listening: Mapping[str, str], tmp_path: Path
) -> None:
    assert _run(listening, "healthy", "api").returncode == 0
    with httpx.Client(headers=OWNER) as client:
        assert client.get(_url(listening, "application-tokens")).status_code == 200
        # Open, and idle: it is not waited for.
        began = time.monotonic()
        api.send_signal(signal.SIGTERM)
        assert api.wait(15) == 0
    assert time.monotonic() - began < 10
    seen = [(line["method"], line["path"], line["status"]) for line in _requests(tmp_path)]
    assert ("GET", "/sfp/api/application-tokens", 200) in seen
    assert OWNER_TOKEN not in (tmp_path / "log").read_text()
    assert _run(listening, "healthy", "api").returncode == 1


@pytest.mark.parametrize(
    ("trusted", "believed"), [({}, "127.0.0.1"), ({"SFP_TRUSTED_PROXIES": "127.0.0.1"}, "203.0.113.9")]
)
def test_only_a_proxy_that_is_trusted_says_where_a_request_came_from(
    listening: Mapping[str, str], tmp_path: Path, trusted: Mapping[str, str], believed: str
) -> None:
    with _started({**listening, **trusted}, tmp_path):
        httpx.get(_url(listening, "config"), headers={"X-Forwarded-For": "203.0.113.9"})
    assert [line["client"] for line in _requests(tmp_path) if line["path"] == "/sfp/api/config"] == [believed]


def _requests(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return [line for line in lines if line["message"] == "request"]


def test_a_body_that_only_says_it_is_large_is_refused(
    api: "subprocess.Popen[bytes]", listening: Mapping[str, str]
) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 65536

    answer = httpx.post(_url(listening, "application-tokens"), headers=OWNER, content=endless())
    assert answer.status_code == 413


def test_a_port_that_is_taken_is_one_line(listening: Mapping[str, str], fresh_database: FreshDatabase) -> None:
    host, _, port = listening["SFP_LISTEN"].partition(":")
    with socket.create_server((host, int(port))):
        done = _run(listening, "api")
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: cannot listen on {host}:{port}: Address already in use (Is something else running there?)\n"
    )


def test_what_does_not_belong_together_does_not_start(
    listening: Mapping[str, str], fresh_database: FreshDatabase
) -> None:
    fresh_database.sql("UPDATE sfp.release_state SET config_version = 2")
    done = _run(listening, "api")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: the database belongs to release")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "They are: api, dispatcher, launcher, migrate, backup, healthy"),
        (["fly"], 2, '"fly" is no program of the server'),
        (["backup"], 2, "comes with a later release"),
        (["healthy"], 2, "takes one service"),
        (["healthy", "dispatcher"], 1, "dispatcher does not answer"),
        (["healthy", "launcher"], 1, "launcher does not answer"),
        (["api"], 1, "SFP_TENANT: is missing"),
    ],
)
def test_wrong_calls_are_one_line(arguments: list[str], code: int, words: str) -> None:
    done = _run({}, *arguments)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1)
    assert words in done.stderr


def test_a_dispatcher_is_healthy_while_its_heart_beats(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    beat.touch()
    assert _run({"SFP_HEARTBEAT": str(beat)}, "healthy", "dispatcher").returncode == 0
    os.utime(beat, (time.time() - 20, time.time() - 20))
    late = _run({"SFP_HEARTBEAT": str(beat)}, "healthy", "dispatcher")
    assert (late.returncode, late.stderr) == (1, "Error: dispatcher gave its last sign of life 20 s ago\n")


def test_a_health_check_loads_neither_the_api_nor_the_database_driver() -> None:
    code = "import sys, sfp_server.server.main, sfp_server.server.healthy; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
    assert not {"litestar", "asyncpg", "msgspec", "uvicorn", "redis", "obstore"} & set(loaded)
