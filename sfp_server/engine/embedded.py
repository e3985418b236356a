"""The embedded engine: services as processes of the host, kept by our own supervisor. No Docker.

For trials and tests. What runs on the host is `python -m sfp_server.engine.supervisor`, so a dry run prints it.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sfp_server.cmd.base import Cmd, cmd
from sfp_server.engine.base import Service
from sfp_server.errors import RemoteError, SfpError
from sfp_server.host.base import Host, Result

_VERSION = "import sfp_server; print(sfp_server.__version__)"
_MARGIN = 60  # seconds beyond its own timeout that a verb may take


class EmbeddedEngine:
    """`python` is the interpreter on the host that has this package."""

    name = "embedded"

    def __init__(self, host: Host, python: str) -> None:
        self._host = host
        self._python = python

    def problems(self, bundle: str) -> Sequence[str]:
        general = self._document(self._supervisor("problems", bundle))
        programs = self._document(cmd(self._python, "-m", "sfp_server.engine.programs", "problems", "--bundle", bundle))
        return [*general.get("items", []), *programs.get("items", [])]

    def fetch(self, bundle: str) -> Iterator[str]:
        """A release is the installed package here: it is there already, or the bundle is of another."""
        wrong = self.verify(bundle)
        if wrong:
            raise SfpError(f"{wrong[0]}.", "Render the release again, with the installed program: sfp server start")
        yield "the programs of the release are those that are installed"

    def verify(self, bundle: str) -> Sequence[str]:
        wanted = _parsed((self._host.get(f"{bundle}/services.json") or b"").decode()).get("release")
        installed = self._host.run(cmd(self._python, "-c", _VERSION)).stdout.strip()
        if wanted is None or not installed or wanted == installed:
            return []  # in a dry run nothing is known
        return [f"{bundle} is of release {wanted}, and {installed} is installed"]

    def up(self, bundle: str, services: Sequence[str] = (), timeout: float = 120) -> None:
        self._document(self._supervisor("up", bundle, "--timeout", timeout, *services, timeout=timeout + _MARGIN))

    def down(self, bundle: str, services: Sequence[str] = (), timeout: float = 30) -> None:
        self._document(self._supervisor("down", bundle, "--timeout", timeout, *services))

    def ps(self, bundle: str, stats: bool = False) -> Sequence[Service]:
        document = self._document(self._supervisor("ps", bundle, *(["--stats"] if stats else [])))
        return [_service(row) for row in document.get("services", [])]

    def logs(self, bundle: str, services: Sequence[str] = (), tail: int = 100, follow: bool = False) -> Iterator[str]:
        following = ["--follow"] if follow else []
        return self._host.stream(self._supervisor("logs", bundle, "--tail", tail, *following, *services))

    def run_once(self, bundle: str, service: str, arguments: Sequence[str]) -> Result:
        return self._host.run(self._supervisor("run", bundle, service, *arguments))

    def exec(self, bundle: str, service: str, argv: Sequence[str]) -> Result:
        return self._host.run(self._supervisor("exec", bundle, service, *argv))

    def remove(self, bundle: str, keep_data: bool = False) -> None:
        self._document(self._supervisor("remove", bundle, *(["--keep-data"] if keep_data else [])))

    def _supervisor(self, verb: str, bundle: str, *arguments: object, timeout: float | None = None) -> Cmd:
        module = "sfp_server.engine.supervisor"
        return cmd(self._python, "-m", module, verb, "--bundle", bundle, *arguments, timeout=timeout)

    def _document(self, command: Cmd) -> dict[str, Any]:
        """What the command answered; nothing where it had nothing to say, or was not run (a dry run)."""
        result = self._host.run(command)
        document = _parsed(result.stdout)
        if "error" in document:
            raise SfpError(document["error"], document["hint"])
        if not result.ok:
            raise RemoteError(f"{command.line()} failed ({result.code}): {result.stderr.strip()}")
        return document


def _parsed(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text) if text.strip() else {}
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _service(row: dict[str, Any]) -> Service:
    known = ("name", "state", "health", "image", "replicas", "uptime", "detail", "cpu", "memory")
    return Service(**{name: row[name] for name in known if name in row})
