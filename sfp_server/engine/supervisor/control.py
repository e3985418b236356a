"""How a command speaks with the daemon: one line of JSON each way on its Unix socket."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sfp_server.engine.supervisor.place import Place
from sfp_server.engine.supervisor.settings import passed
from sfp_server.errors import SfpError

_START = 10.0  # seconds that a daemon may take until it answers
_ANSWER = 30.0


class NoDaemonError(Exception):
    """There is none, or it just ended."""


def call(place: Place, **request: Any) -> dict[str, Any]:
    """Ask the daemon and return its answer; a refusal is the error it names."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER)
            connection.connect(str(place.socket))
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = connection.makefile("rb").readline()
    except TimeoutError:
        raise SfpError(f"the supervisor does not answer on {place.socket}.", f"Look at {place.log}") from None
    except OSError as error:
        raise NoDaemonError from error
    if not line.endswith(b"\n"):
        raise NoDaemonError
    return _checked(json.loads(line))


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise SfpError(answer["error"], answer.get("hint", ""))
    return answer


def ask(place: Place, **request: Any) -> dict[str, Any] | None:
    """The same; nothing where no daemon runs. One that is just taking over is waited for."""
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        with suppress(NoDaemonError):
            return call(place, **request)
        if not _is_held(place):
            return None
        time.sleep(0.03)
    raise SfpError(f"the supervisor does not come up in {place.run}.", f"Look at {place.log}")


def reach(place: Place, **request: Any) -> dict[str, Any]:
    """The same; a daemon is started where none runs."""
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        with suppress(NoDaemonError):
            return call(place, **request)
        start_daemon(place)
        time.sleep(0.03)
    raise SfpError(f"the supervisor does not come up in {place.run}.", f"Look at {place.log}")


def start_daemon(place: Place) -> None:
    """Start a daemon, unless there is one: it inherits the lock that says so, so there is never a second."""
    place.make()
    lock = place.take_lock()
    if lock is None:
        return
    with open(lock), place.log.open("ab") as log:
        launch(place, ["daemon", "--lock", str(lock)], log.fileno(), (lock,))


def launch(place: Place, arguments: list[str], log: int, keep: tuple[int, ...] = ()) -> int:
    """Start a process of the supervisor's own, in a session of its own, so that it survives the terminal."""
    process = subprocess.Popen(
        command(place, arguments),
        env=passed(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd="/",
        start_new_session=True,
        pass_fds=keep,
    )
    process.returncode = 0  # it is not waited for here
    return process.pid


def command(place: Place, arguments: list[str]) -> list[str]:
    """A command line of the supervisor's own processes."""
    verb, *rest = arguments
    return [sys.executable, "-m", __package__, verb, "--run", str(place.run), "--logs", str(place.logs), *rest]


def _is_held(place: Place) -> bool:
    if not Path(place.lock).exists():
        return False
    lock = place.take_lock()
    if lock is None:
        return True
    with open(lock):
        return False
