"""A real instance for the fault tests: started by the command line, looked at from outside, killed by process id."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfp_server.ops.instance import Instance

TENANT = "faults"


@dataclass(frozen=True)
class Trial:
    """One tenant under a folder of its own."""

    base: Path

    @property
    def folder(self) -> Path:
        return self.base / "tenants" / TENANT

    def sfp(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one command of the operator."""
        argv = [sys.executable, "-m", "sfp_server", *arguments]
        environment = {**os.environ, "SFP_SERVER_HOME": str(self.base)}
        ran = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=180)
        if check and ran.returncode:
            raise AssertionError(f"{arguments}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}")
        return ran

    @property
    def run(self) -> Path:
        return Instance(self.base, TENANT).run

    def create(self, workers: str) -> None:
        port = str(_free_port())
        self.sfp(
            "init", "-t", TENANT, "--engine", "embedded", "--worker-counts", workers, "--port", port, "--no-interactive"
        )  # fmt: skip
        self.sfp("config", "set", "toolchain", "off", "-t", TENANT)
        self.sfp("start", "-t", TENANT)

    def destroy(self) -> None:
        self.sfp("destroy", "-t", TENANT, "--yes", check=False)

    def status(self) -> Mapping[str, Any]:
        document: Mapping[str, Any] = json.loads(self.sfp("status", "-t", TENANT, "--json", check=False).stdout)
        return document

    def kill(self, pids: Sequence[int]) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def processes(self, service: str) -> list[int]:
        """The processes of a service, by the mark that the supervisor gives each. Redis writes its title over it."""
        if service == "redis":
            title = f"unixsocket:{self.run}/redis.sock".encode()
            return [pid for pid, words in _of_each("cmdline") if title in b" ".join(words)]
        marks = {f"SFP_SERVICE={TENANT}/{service}".encode(), f"SUPERVISOR_RUN={self.run}".encode()}
        return [pid for pid, environment in _of_each("environ") if marks <= set(environment)]

    def supervisors(self) -> list[int]:
        """The daemon, without its guard."""
        words = {b"sfp_server.engine.supervisor", b"daemon", str(self.run).encode()}
        return [pid for pid, words_of in _of_each("cmdline") if words <= set(words_of)]

    def sandboxes(self) -> list[int]:
        mark = f"SFP_SANDBOX={TENANT}".encode()
        return [pid for pid, environment in _of_each("environ") if any(e.startswith(mark) for e in environment)]

    def launched(self) -> list[str]:
        """`task/lease` of every sandbox that the launcher says it started."""
        lines = (self.folder / "logs" / "launcher.log").read_text().splitlines()
        said = [json.loads(line.partition(" ")[2]) for line in lines if "sandbox started" in line]
        return [f"{entry['task']}/{entry['lease']}" for entry in said]


def _free_port() -> int:
    """One that nobody else's instance on this machine would take by itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _of_each(name: str) -> list[tuple[int, list[bytes]]]:
    """A file of every process's folder in /proc, at its NULs."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found.append((int(folder.name), (folder / name).read_bytes().split(b"\0")))
            except OSError:  # it is gone, or another user's
                continue
    return found
