"""Sandboxes in a real Docker Engine: what only containers promise."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sfp_server.errors import SfpError
from sfp_server.server.worker.docker import DockerSandboxes
from sfp_server.server.worker.sandbox import Limits
from sfp_server.server.worker.template import Template
from tests.e2e.machinery.docker import docker, exists, inspect, remove
from tests.server.worker.stand import ROOMY, Heard, Stand, parse, standing_in_docker

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

SLEEP = {"type": "command", "data": {"argv": ["sleep", "60"]}}
CONNECT = """
import socket, sys
try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 6)
except OSError as error: print(type(error).__name__, error.errno)
else: print("connected")
"""


@pytest.fixture
async def docked(tmp_path: Path, worker_image: str) -> AsyncIterator[Stand]:
    async with standing_in_docker(tmp_path, worker_image) as stand:
        yield stand


async def connected(stand: Stand, address: str, port: int) -> str:
    argv = ["python3", "-c", CONNECT, address, str(port)]
    return (await stand.run("command", {"argv": argv}, task="asks")).lines[0]


async def test_the_metadata_address_is_nowhere(docked: Stand) -> None:
    heard = await docked.shell("cat /proc/net/route")
    ways = [line.split() for line in heard.lines[1:]]
    assert [way[2] for way in ways if way[1] == "0000FEA9"] == ["00000000"]  # 169.254.0.0/16, at hand: no gateway
    assert len([way for way in ways if way[1] == "00000000"]) == 1  # the way out is another
    assert await connected(docked, "169.254.169.254", 80) == "OSError 113"  # no such host
    assert "169.254" not in subprocess.run(["ip", "-4", "route"], capture_output=True, text=True).stdout


async def test_another_sandbox_is_out_of_reach(docked: Stand) -> None:
    listen = "import socket; s = socket.create_server(('', 8000)); print('up', flush=True); s.accept()"
    task = {"type": "command", "data": {"argv": ["python3", "-c", listen]}}
    async with docked.client.launch("t", 1, task, ROOMY) as launched:
        async for frame in launched.frames():
            if b"up" in frame.payload:
                break
        networks = inspect("container", docked.left()[0].name)["NetworkSettings"]["Networks"]
        assert len(networks) == 2
        for network in networks.values():
            assert await connected(docked, network["IPAddress"], 8000) in ("TimeoutError None", "OSError 113")


async def test_the_engine_and_the_machine_are_out_of_sight(docked: Stand) -> None:
    heard = await docked.shell("ls /var/run /run; cat /proc/mounts; echo x > /x || touch /sandbox/y /tmp/y && id")
    assert "docker.sock" not in str(heard.messages)
    assert heard.lines[-1].startswith("uid=10002(task) gid=10002(task) groups=10002(task)")


async def test_a_document_shows_nowhere(docked: Stand) -> None:
    task = {"type": "command", "data": {"argv": ["sh", "-c", "sleep 60"], "stdin": "tweet"}}
    async with docked.client.launch("t", 1, task, ROOMY):
        await docked.busy()
        found = inspect("container", docked.left()[0].name)
        assert "tweet" not in json.dumps(found)
        assert (found["HostConfig"]["LogConfig"]["Type"], found["HostConfig"]["ReadonlyRootfs"]) == ("none", True)
        assert not [label for label in found["Config"]["Labels"] if label.startswith("com.docker")]


async def test_the_next_launcher_removes_what_is_left(docked: Stand, tmp_path: Path, worker_image: str) -> None:
    labels = ["--label", f"sfp.tenant={docked.mark}", "--label", "sfp.task=old", "--label", "sfp.lease=1"]
    docker("run", "--detach", *labels, "--entrypoint", "sleep", worker_image, "60")
    assert docked.left()
    chosen = Template(docked.mark, worker_image, 1, f"sfp-{docked.mark}-sandbox")
    async with DockerSandboxes(chosen).opened():
        assert docked.left() == []


async def test_a_network_that_somebody_removed_comes_back(docked: Stand) -> None:
    remove("network", f"sfp-{docked.mark}-sandbox")
    assert (await docked.run("ping", {})).end.code == 0


async def test_a_network_that_lets_sandboxes_talk_is_refused(docked: Stand, worker_image: str) -> None:
    name = f"sfp-{docked.mark}-open"
    docker("network", "create", name)
    try:
        with pytest.raises(SfpError, match="does not keep sandboxes apart"):
            async with DockerSandboxes(Template(docked.mark, worker_image, 1, name)).opened():
                raise AssertionError
    finally:
        remove("network", name)


async def test_an_image_that_is_not_here_is_said(tmp_path: Path) -> None:
    absent = Template("test-absent", "localhost:1/none@sha256:" + "0" * 64, 1, "sfp-test-absent-sandbox")
    with pytest.raises(SfpError, match="is not here"):
        async with DockerSandboxes(absent).opened():
            raise AssertionError
    assert not exists("network", "sfp-test-absent-sandbox")


async def test_an_engine_that_is_not_there_is_said(tmp_path: Path) -> None:
    chosen = Template("test-absent", "x", 1, "x")
    with pytest.raises(SfpError, match="Docker does not answer"):
        async with DockerSandboxes(chosen, f"unix://{tmp_path}/none.sock").opened():
            raise AssertionError


async def test_a_launch_that_docker_refuses_leaves_nothing(docked: Stand) -> None:
    heard = await docked.run("ping", {}, Limits(1024, 100, 10))
    assert (heard.end.reason, docked.left()) == ("refused", [])
    assert "memory limit" in heard.end.message


async def test_one_that_somebody_removes_was_killed(docked: Stand) -> None:
    async with docked.client.launch("t", 1, SLEEP, ROOMY) as launched:
        await docked.busy()
        docker("rm", "--force", docked.left()[0].name)
        last = [frame async for frame in launched.frames()][-1]
    assert json.loads(last.payload)["signal"] == 9


async def test_its_last_words_reach_who_reads_late(docked: Stand) -> None:
    script = "head -c 600000 /dev/zero | tr '\\0' x | fold -w 60000; echo; echo done"
    task = {"type": "command", "data": {"argv": ["sh", "-c", script]}}
    out, heard = b"", Heard()
    async with docked.client.launch("t", 1, task, ROOMY) as launched:
        await asyncio.sleep(4)
        async for frame in launched.frames():
            out += frame.payload if frame.kind == "o" else b""
    parse(out, heard)
    assert heard.lines[-1] == "done"
    assert heard.result is not None
