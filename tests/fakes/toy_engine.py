"""An engine over `sleep` processes: real processes, started and ended by real commands on a real host.

A bundle's `services.json` is a list of {name, fails?, waits?, version?}: `fails` is what a service says that never
becomes healthy, `waits` a file that has to be there before it is.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sfp_server.cmd.base import Cmd, cmd
from sfp_server.engine.base import Service
from sfp_server.errors import RemoteError
from sfp_server.host.base import Host, Result, must

JOBS = ("migrate",)


class ToyEngine:
    """Keeps a pid file a service under `state`."""

    name = "toy"

    def __init__(self, host: Host, state: Path) -> None:
        self._host = host
        self._state = state

    def problems(self, bundle: str) -> Sequence[str]:
        text = self._host.get(f"{bundle}/problems.txt")
        return text.decode().splitlines() if text else []

    def fetch(self, bundle: str) -> Iterator[str]:
        yield "all is here"

    def verify(self, bundle: str) -> Sequence[str]:
        text = self._host.get(f"{bundle}/differences.txt")
        return text.decode().splitlines() if text else []

    def up(self, bundle: str, services: Sequence[str] = (), timeout: float = 120) -> None:
        for spec in _specs(self._host, bundle):
            if not services or spec["name"] in services:
                self._up(spec)

    def _up(self, spec: dict[str, Any]) -> None:
        if self._ran(spec["name"]) == spec and self._alive(spec["name"]):
            return
        self._kill(spec["name"])
        if "fails" in spec:
            raise RemoteError(f"{spec['name']} did not become healthy in 1 s\n{spec['name']} | {spec['fails']}")
        script = 'mkdir -p "$1"; setsid sleep 1000 >/dev/null 2>&1 & echo $! > "$1/$2.pid"'
        must(self._host, cmd("sh", "-c", script, "up", self._state, spec["name"]))
        self._host.put(str(self._state / f"{spec['name']}.json"), json.dumps(spec).encode())
        if "waits" in spec:
            must(self._host, cmd("sh", "-c", 'until test -e "$1"; do sleep 0.02; done', "wait", spec["waits"]))

    def down(self, bundle: str, services: Sequence[str] = (), timeout: float = 30) -> None:
        for spec in reversed(_specs(self._host, bundle)):
            if not services or spec["name"] in services:
                self._kill(spec["name"])

    def ps(self, bundle: str, stats: bool = False) -> Sequence[Service]:
        return [self._service(spec, stats) for spec in _specs(self._host, bundle)]

    def _service(self, spec: dict[str, Any], stats: bool) -> Service:
        alive = self._alive(spec["name"])
        return Service(
            name=spec["name"],
            state="running" if alive else "exited",
            health="healthy" if alive and "fails" not in spec else "none",
            image=f"sleep {spec.get('version', 1)}",
            uptime=3 if alive else 0,
            cpu=0.01 if stats else None,
            memory=4096 if stats else None,
        )

    def logs(self, bundle: str, services: Sequence[str] = (), tail: int = 100, follow: bool = False) -> Iterator[str]:
        for spec in _specs(self._host, bundle):
            if not services or spec["name"] in services:
                yield f"{spec['name']} | 2026-11-23T08:15:00.123Z sleeping"

    def run_once(self, bundle: str, service: str, arguments: Sequence[str]) -> Result:
        text = self._host.get(f"{bundle}/{service}.sh") or b"echo 2 migrations"
        return self._host.run(Cmd(("sh", "-c", text.decode(), service, *arguments), cwd=str(self._state.parent)))

    def exec(self, bundle: str, service: str, argv: Sequence[str]) -> Result:
        return self._host.run(Cmd(tuple(argv)))

    def remove(self, bundle: str, keep_data: bool = False) -> None:
        self.down(bundle)
        must(self._host, cmd("rm", "-rf", self._state))

    def _ran(self, name: str) -> Any:
        return json.loads(self._host.get(str(self._state / f"{name}.json")) or b"null")

    def _pid(self, name: str) -> int | None:
        text = self._host.get(str(self._state / f"{name}.pid"))
        return int(text) if text else None

    def _alive(self, name: str) -> bool:
        pid = self._pid(name)
        status = (self._host.get(f"/proc/{pid}/stat") if pid else None) or b""
        return status.rpartition(b")")[2].split()[:1] not in ([], [b"Z"])

    def _kill(self, name: str) -> None:
        if self._alive(name):
            must(self._host, cmd("kill", "-KILL", self._pid(name)))
        must(self._host, cmd("rm", "-f", self._state / f"{name}.pid"))


def _specs(host: Host, bundle: str) -> list[dict[str, Any]]:
    text = host.get(f"{bundle}/services.json")
    return json.loads(text) if text else []
