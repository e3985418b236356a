"""One operation at a time on an instance: an flock held by the program that works, and an epoch that it compares.

The kernel drops an flock with its holder, so there is no expiry, no heartbeat, and no clock. The epoch (a number in a
file that every holder raises) is what a takeover will raise under a program that still runs: its next step sees it
and stops. What the holder says about itself stands in a third file, for people.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfp_server.clock import Clock, rfc3339
from sfp_server.errors import CheckError, LockedError
from sfp_server.host.local import write

VERSION = 1


@dataclass(frozen=True)
class Lock:
    """The right to change an instance, while `held` is open."""

    folder: Path
    epoch: int

    def check(self) -> None:
        """Raise a `LockedError` where somebody has taken the instance over."""
        if _epoch(self.folder) != self.epoch:
            raise LockedError(
                f"{_holder(self.folder).get('who', 'another')} took this operation over: nothing more is changed here.",
                "Look at what became of it: sfp server status",
            )


@contextmanager
def held(folder: Path, who: str, what: str, clock: Clock) -> Iterator[Lock]:
    """Hold the instance's lock; a `LockedError` at once where another does, naming it. Programs started from here
    do not inherit it: a service never keeps an instance locked."""
    descriptor = _taken(folder)
    try:
        yield _announced(folder, who, what, clock)
    finally:
        (folder / "holder.json").unlink(missing_ok=True)
        os.close(descriptor)


def _taken(folder: Path) -> int:
    """The descriptor that holds the lock."""
    descriptor = _opened(folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise _locked(folder) from None
    if _is_file(descriptor, folder / "lock"):
        return descriptor
    os.close(descriptor)  # the instance was removed, and perhaps made anew, while this one waited
    return _taken(folder)


def _opened(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _is_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _announced(folder: Path, who: str, what: str, clock: Clock) -> Lock:
    """Say who holds it, then raise the epoch."""
    epoch = _epoch(folder) + 1
    details = {"version": VERSION, "who": who, "pid": os.getpid(), "what": what, "since": rfc3339(clock.now())}
    try:
        write(folder / "holder.json", json.dumps(details).encode() + b"\n", 0o600)
        write(folder / "epoch", f"{epoch}\n".encode(), 0o600)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return Lock(folder, epoch)


def _epoch(folder: Path) -> int:
    """The epoch in the file; 0 before the first holder."""
    try:
        return int((folder / "epoch").read_text())
    except FileNotFoundError:
        return 0
    except ValueError as error:
        hint = f"Where nothing works on it: rm {folder / 'epoch'}"
        raise LockedError(f"{folder / 'epoch'} does not hold a number.", hint) from error


def _holder(folder: Path) -> Mapping[str, Any]:
    try:
        details = json.loads((folder / "holder.json").read_text())
    except (OSError, ValueError):
        return {}  # it has just begun, or just ended
    return details if isinstance(details, dict) else {}


def _locked(folder: Path) -> LockedError:
    holder = _holder(folder)
    if not holder:
        return LockedError("another sfp server is at work on this instance.", "Try again in a moment.")
    who, what, since, pid = (holder.get(name, "?") for name in ("who", "what", "since", "pid"))
    return LockedError(
        f"{who} is at work on this instance: {what}, since {since} (pid {pid}).",
        "Try again when it is done. It holds the lock only as long as that program runs.",
    )


def _unwritable(folder: Path, error: OSError) -> CheckError:
    return CheckError(
        f"cannot lock {folder}: {(error.strerror or str(error)).lower()}.", f"Look at the disk: df -h {folder.parent}"
    )
