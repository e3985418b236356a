"""The program that runs inside a sandbox: one task from standard input, one attempt, what it says to standard output.

Run by path, `python -I -S -B child.py`: it has no need of installed packages, so it looks for none and starts fast.
"""

import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

TERMINATED = 143  # 128 + SIGTERM, as shells say it
_GRACE = 3.0  # seconds that programs get to end by themselves
_MOMENT = 0.5  # seconds


class Ending(BaseException):
    """SIGTERM came: end what runs, say nothing more."""


def main() -> int:
    """Read the task, run it, say the result. 0: the result or the error was said."""
    _settle()
    from sfp_server.server.worker import process

    process.adopt_orphans()
    try:
        signal.signal(signal.SIGTERM, _on_term)
        if os.environ.pop("SFP_PARENT", ""):
            process.die_with_parent(signal.SIGTERM)
        return _attempt(json.load(sys.stdin.buffer))
    except Ending:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        process.end(process.own, _GRACE)
        _hear_out()
        os._exit(TERMINATED)  # whatever threads still hold
    finally:
        process.end(process.own)


def _attempt(document: dict[str, Any]) -> int:
    from sfp_server.server.worker.inside import Frames, Inside
    from sfp_server.server.worker.types import TYPES
    from sfp_server.server.worker.types.base import TaskError

    frames = Frames(sys.stdout.buffer)
    inside = Inside(document.get("data") or {}, Path.cwd(), frames)
    try:
        frames.end(TYPES[document["type"]].run(inside))
    except TaskError as error:
        told = {"message": error.message, "hint": error.hint, "retry": error.retry, "exitCode": error.code}
        frames.say({"error": {name: value for name, value in told.items() if value not in ("", None)}})
    return 0


def _hear_out() -> None:
    """What programs said last is in their pipes; who listens there gets a moment to pass it on."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join(_MOMENT)


def _settle() -> None:
    """Give up what the sandbox lends only for the start, and go to the work folder.

    Root inside means that the launcher is root: `SFP_UID` is then a user who owns nothing else on the machine.
    """
    os.umask(0o077)
    _limit()
    uid = os.environ.pop("SFP_UID", "")
    if uid and os.getuid() == 0:
        os.setgroups([])
        os.setresgid(int(uid), int(uid), int(uid))
        os.setresuid(int(uid), int(uid), int(uid))
    for place in ("SFP_WORK", "HOME"):  # what is mounted in memory is empty
        os.makedirs(os.environ[place], mode=0o700, exist_ok=True)
    os.chdir(os.environ["SFP_WORK"])


def _limit() -> None:
    """No core dumps, and as many processes as allowed."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pids = os.environ.pop("SFP_PIDS", "")
    if pids:
        resource.setrlimit(resource.RLIMIT_NPROC, (int(pids), int(pids)))


def _on_term(number: int, frame: FrameType | None) -> NoReturn:
    raise Ending


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    sys.exit(main())
