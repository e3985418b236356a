"""Processes of this machine: started so that they die with us, found by tree or by mark, ended to the last.

Linux: prctl(2) by ctypes, /proc, pidfds.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Stat:
    """One line of /proc: `start` (in ticks since boot) tells a process from a later one with its number; `spent` is
    processor time in ticks."""

    pid: int
    parent: int
    state: str
    start: int
    spent: int

    @property
    def alive(self) -> bool:
        return self.state not in "ZX"


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start(
    argv: Sequence[str], environment: Mapping[str, str], output: int, folder: Path, death_signal: str = "SIGKILL"
) -> int:
    """Start a program in a session of its own with nothing on its standard input, and return its number; the kernel
    sends it `death_signal` when we die. Call it from the main thread only: the kernel means the thread that forked.
    The caller reaps it."""
    process = subprocess.Popen(
        argv,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=folder,
        start_new_session=True,
        preexec_fn=_dies_with(os.getpid(), signal.Signals[death_signal]),
    )
    process.returncode = 0  # or the next Popen would reap it for us
    return process.pid


def kill_group(pid: int) -> None:
    """Kill a child that is not reaped yet, with its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _dies_with(parent: int, death_signal: signal.Signals) -> Callable[[], None]:
    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os.kill(os.getpid(), signal.SIGKILL)

    return prepare


def stat(pid: int) -> Stat | None:
    """What /proc says of a process; nothing where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(pid, int(fields[1]), fields[0], int(fields[19]), int(fields[11]) + int(fields[12]))


def table() -> dict[int, Stat]:
    """Every process of this machine."""
    found = (stat(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {process.pid: process for process in found if process}


def tree(roots: Iterable[int], processes: Mapping[int, Stat]) -> list[Stat]:
    """These processes and all that descend from them."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found, waiting = [], list(roots)
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        found += [processes[pid]] if pid in processes else []
    return found


def marked(*marks: str) -> list[Stat]:
    """The living processes, but for this one, whose environment holds all these `NAME=value`."""
    wanted = {mark.encode() for mark in marks}
    own = os.getpid()
    numbers = (int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != own)
    return [found for pid in numbers if wanted <= _environment(pid) and (found := stat(pid)) and found.alive]


def _environment(pid: int) -> set[bytes]:
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return set()


def is_same(process: Stat) -> bool:
    """It still runs, and is not another that got its number."""
    now = stat(process.pid)
    return now is not None and now.alive and now.start == process.start


def kill(processes: Iterable[Stat], number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to each that still is the process we mean."""
    for process in processes:
        try:
            handle = os.pidfd_open(process.pid)
        except OSError:
            continue
        try:
            if is_same(process):
                signal.pidfd_send_signal(handle, number)
        except OSError:
            continue  # it ended, or it is not ours
        finally:
            os.close(handle)


def kill_all(find: Callable[[], Sequence[Stat]], timeout: float = 2) -> list[Stat]:
    """Kill what `find` finds until it finds nothing more (they may start others meanwhile); returns what is left."""
    deadline = time.monotonic() + timeout
    while (left := list(find())) and time.monotonic() < deadline:
        kill(left)
        time.sleep(0.01)
    return left


def wait_gone(processes: Sequence[Stat], timeout: float) -> list[Stat]:
    """Wait until these have ended; returns those that have not."""
    deadline = time.monotonic() + timeout
    while (left := [process for process in processes if is_same(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left
