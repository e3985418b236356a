"""A real instance for the fault tests: started by the command line, looked at from outside, killed by process id."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    def create(self, workers: str) -> None:
        self.sfp("init", "-t", TENANT, "--engine", "embedded", "--worker-counts", workers, "--no-interactive")
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
        """The processes of a service's own program, by the marker that the supervisor gives each."""
        return [
            pid for pid, environment in _environments() if f"SFP_SERVICE={TENANT}/{service}".encode() in environment
        ]

    def sandboxes(self) -> list[int]:
        return [pid for pid, environment in _environments() if any(e.startswith(b"SFP_SANDBOX=") for e in environment)]


def _environments() -> list[tuple[int, list[bytes]]]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found.append((int(folder.name), (folder / "environ").read_bytes().split(b"\0")))
            except OSError:  # it is gone, or another user's
                continue
    return found
