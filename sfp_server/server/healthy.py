"""`healthy api|dispatcher|launcher`: exit 0 where it is. Run every few seconds, so only the standard library."""

import http.client
import json
import os
import socket
import time
from collections.abc import Mapping

from sfp_server.errors import SfpError, UsageError

_PATIENCE = 5.0  # seconds
_OLDEST_HEARTBEAT = 15.0  # seconds


def main(arguments: list[str]) -> int:
    """Ask one service of this machine; an error says why it is not healthy."""
    checks = {"api": _api, "dispatcher": _dispatcher, "launcher": _launcher}
    if len(arguments) != 1 or arguments[0] not in checks:
        raise UsageError("healthy takes one service", f"They are: {', '.join(checks)}")
    try:
        checks[arguments[0]](os.environ)
    except (OSError, http.client.HTTPException, KeyError, ValueError) as error:
        raise SfpError(f"{arguments[0]} does not answer: {type(error).__name__}: {error}") from error
    return 0


def _api(environ: Mapping[str, str]) -> None:
    host, _, port = environ["SFP_LISTEN"].rpartition(":")
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host.strip("[]"))  # noqa: S104
    connection = http.client.HTTPConnection(own, int(port), timeout=_PATIENCE)
    try:
        connection.request("GET", "/sfp/api/ping")
        status = connection.getresponse().status
    finally:
        connection.close()
    if status != 200:
        raise SfpError(f"api answers {status}")


def _dispatcher(environ: Mapping[str, str]) -> None:
    age = time.time() - os.stat(environ["SFP_HEARTBEAT"]).st_mtime
    if age > _OLDEST_HEARTBEAT:
        raise SfpError(f"dispatcher gave its last sign of life {age:.0f} s ago")


def _launcher(environ: Mapping[str, str]) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        connection.connect(environ["SFP_LAUNCHER_SOCKET"])
        connection.sendall(b'{"op": "ping"}\n')
        with connection.makefile() as answers:
            json.loads(answers.readline())
