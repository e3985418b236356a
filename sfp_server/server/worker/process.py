"""Processes as /proc shows them (proc(5)): who descends from whom, who carries a mark, how much memory they hold.

Standard library only, for this runs inside of sandboxes too. Where there is no /proc, there is nothing to see.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

_PROC = Path("/proc")
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none escapes from `descendants`."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this signal when the parent ends, however it does."""
    _prctl(_PR_SET_PDEATHSIG, int(number))


def children() -> dict[int, list[int]]:
    """Every process that has some, with its living children."""
    found: dict[int, list[int]] = {}
    for pid, parent in _parents():
        found.setdefault(parent, []).append(pid)
    return found


def descendants(root: int, family: Mapping[int, Sequence[int]] | None = None) -> list[int]:
    """Every living process below this one, nearer ones first. `family` is what `children` found a moment ago."""
    family = children() if family is None else family
    found = list(family.get(root, ()))
    for pid in found:  # grows while it is read
        found += family.get(pid, ())
    return found


def marked(name: str, prefix: str) -> list[int]:
    """The living processes that were started with an environment variable whose value begins so."""
    mark = f"{name}={prefix}".encode()
    return [pid for pid, _ in _parents() if pid != os.getpid() and _carries(pid, mark)]


def memory(pids: Iterable[int]) -> int:
    """Bytes that these processes hold for themselves alone: resident, without what is mapped from files."""
    return sum(_held(pid) for pid in pids)


def threads(pids: Iterable[int]) -> int:
    """How many threads these processes have together: what the kernel counts where it limits processes."""
    return sum(_threads(pid) for pid in pids)


def filled(pid: int, folders: Iterable[str]) -> int:
    """Bytes in the file systems that a process sees at these folders: those of a tmpfs are memory too."""
    return sum(_filled(_PROC / str(pid) / "root" / folder.lstrip("/")) for folder in folders)


def give_up_first(pid: int) -> None:
    """Where the machine runs out of memory, this process and all that it starts go before others."""
    try:
        (_PROC / str(pid) / "oom_score_adj").write_text("800")
    except OSError:
        return


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to those that still live."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def own() -> list[int]:
    """What this process started, and adopted, and has not ended yet; takes leave of those that have."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return []
    return descendants(os.getpid())


def end(find: Callable[[], Sequence[int]], grace: float = 0.0, within: float = 10.0) -> bool:
    """End every process that `find` names, until it names none: ask, wait up to `grace` seconds, then kill.

    Those to be killed are stopped first, so that they cannot start others meanwhile. False: some lived on.
    """
    began = time.monotonic()
    if grace:
        send(find(), signal.SIGTERM)
    while (left := find()) and (spent := time.monotonic() - began) < grace + within:
        if spent >= grace:
            send(left, signal.SIGSTOP)
            send(find(), signal.SIGKILL)
        time.sleep(0.005)
    return not left


def _parents() -> Iterator[tuple[int, int]]:
    """Each living process with its parent."""
    for name in os.listdir(_PROC) if _PROC.is_dir() else ():
        if not name.isdigit():
            continue
        fields = _stat(int(name))
        if fields and fields[0] not in (b"Z", b"X"):
            yield int(name), int(fields[1])


def _stat(pid: int) -> list[bytes]:
    """What follows the name of the program: state, parent, …"""
    return _read(pid, "stat").rpartition(b")")[2].split()


def _threads(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[17]) if fields else 0


def _carries(pid: int, mark: bytes) -> bool:
    return any(entry.startswith(mark) for entry in _read(pid, "environ").split(b"\0"))


def _held(pid: int) -> int:
    fields = _read(pid, "statm").split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def _filled(folder: Path) -> int:
    try:
        seen = os.statvfs(folder)
    except OSError:
        return 0
    return (seen.f_blocks - seen.f_bfree) * seen.f_frsize


def _read(pid: int, name: str) -> bytes:
    """A file of a process; empty where the process has ended or is not ours to see."""
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
