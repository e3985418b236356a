"""Sandboxes as processes of this machine: kept apart by bubblewrap where it works, plain where it does not."""

import asyncio
import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from sfp_server.errors import SfpError
from sfp_server.server.worker import isolation, process
from sfp_server.server.worker.isolation import Mode, Programs
from sfp_server.server.worker.running import Running, start
from sfp_server.server.worker.sandbox import Exit, Key, Limits, Order, Reason, exit_of

MARK: Final = "SFP_SANDBOX"
_WATCH: Final = 0.25  # seconds between two looks at what the sandboxes use
_HEADROOM: Final = 64  # threads by which a sandbox may be above its limit until it is seen and killed
_FIRST_UID: Final = 1_900_000_000  # far from what any system hands out
_UIDS: Final = 1_000_000


class ProcessSandbox:
    """A sandbox made of processes of this machine."""

    def __init__(self, order: Order, folder: Path, mark: str, mode: Mode, running: Running) -> None:
        self.order = order
        self.stdout = running.stdout
        self.stderr = running.stderr
        self._folder = folder
        self._mark = mark
        self._mode = mode
        self._running = running
        self._reason: Reason = "exited"
        self._feeding = asyncio.ensure_future(running.feed(order.document))
        self.over = asyncio.ensure_future(self._to_the_end())

    async def kill(self, grace: float, reason: Reason = "killed") -> None:
        if not self._running.exited.done():
            self._reason = reason if self._reason == "exited" else self._reason
            await self._ask(grace)
            await self._strike()
        await self.ended()

    async def ended(self) -> Exit:
        return await asyncio.shield(self.over)

    def close(self) -> None:
        self._feeding.cancel()
        self._running.close()

    def exceeded(self, family: Mapping[int, list[int]]) -> Reason | None:
        """Which limit it is above, by what runs and what is in memory now."""
        pids = [self._running.pid, *process.descendants(self._running.pid, family)]
        if process.threads(pids) > self.order.limits.pids:
            return "pids"
        inside = pids[2:3] if self._mode != "plain" else []  # the child; before it there is no inside to look at
        filled = sum(process.filled(pid, isolation.IN_MEMORY) for pid in inside)
        return "memory" if process.memory(pids) + filled > self.order.limits.memory else None

    async def _to_the_end(self) -> Exit:
        await asyncio.wait({self._running.exited}, timeout=self.order.limits.timeout)
        if not self._running.exited.done():
            self._reason = "timeout" if self._reason == "exited" else self._reason
            await self._strike()
        code = await self._running.exited
        await asyncio.to_thread(self._sweep)
        return exit_of(code, self._reason)

    async def _ask(self, grace: float) -> None:
        if grace:
            process.send(self._leader(), signal.SIGTERM)
            await asyncio.wait({self._running.exited}, timeout=grace)

    def _leader(self) -> list[int]:
        """The child itself; bubblewrap stands twice before it, outside and as the first process inside."""
        if self._mode == "plain":
            return [self._running.pid]
        family = process.children()
        return [pid for first in family.get(self._running.pid, ()) for pid in family.get(first, ())]

    async def _strike(self) -> None:
        """From below, while the topmost stands still: it has adopted all orphans, so none is missed."""
        if not self._running.exited.done():
            process.send([self._running.pid], signal.SIGSTOP)
            await asyncio.to_thread(process.end, lambda: process.descendants(self._running.pid))
            process.send([self._running.pid], signal.SIGKILL)

    def _sweep(self) -> None:
        process.end(lambda: process.marked(MARK, self._mark))
        remove(self._folder)


class ProcessSandboxes:
    """Sandboxes as processes of this machine, kept apart as strictly as it allows. `mark` is how the value of
    SFP_SANDBOX begins in the environment of every process of theirs."""

    def __init__(self, tenant: str, folder: Path, programs: Programs, say: Callable[[str], None]) -> None:
        self.mark = f"{tenant}@{hashlib.sha256(bytes(folder.absolute())).hexdigest()[:12]}"
        self.running: dict[Key, ProcessSandbox] = {}
        self._folder = folder
        self._programs = programs
        self._say = say
        self._mode: Mode = "plain"
        self._uids = itertools.count()
        self._gate = asyncio.Lock()  # one start at a time: a start is seen by all who come after it
        self._closed = False

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[str]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(self._folder):
            await asyncio.to_thread(self._remove_leftovers)
            self._mode = await self._strictest()
            watching = asyncio.ensure_future(self._watch())
            try:
                yield self._mode
            finally:
                watching.cancel()
                await self._close()

    async def launch(self, order: Order) -> ProcessSandbox:
        async with self._gate:
            if self._closed or order.key in self.running:
                why = "the launcher is stopping" if self._closed else f"lease {order.lease} has a sandbox already"
                raise SfpError(f"task {order.task}: {why}")
            sandbox = await self._start(order, self._mode_now())
            self.running[order.key] = sandbox
            sandbox.over.add_done_callback(lambda _: self.running.pop(order.key))
        return sandbox

    async def _close(self) -> None:
        async with self._gate:
            self._closed = True
        await asyncio.gather(*(sandbox.kill(0) for sandbox in [*self.running.values()]))

    async def _watch(self) -> None:
        """Kill what is above its limits. One look at /proc serves all sandboxes, and none waits for the end of another:
        that of a process which the kernel holds may never come."""
        ending: dict[Key, asyncio.Future[None]] = {}
        while True:
            await asyncio.sleep(_WATCH)
            ending = {key: end for key, end in ending.items() if not end.done()}
            family = process.children() if self.running else {}
            for key, sandbox in [*self.running.items()]:
                if key not in ending and (reason := sandbox.exceeded(family)):
                    ending[key] = asyncio.ensure_future(sandbox.kill(0, reason))

    def _remove_leftovers(self) -> None:
        process.end(lambda: process.marked(MARK, f"{self.mark}/"))
        for path in self._folder.iterdir():
            if path.is_dir():
                remove(path)

    async def _strictest(self) -> Mode:
        """The strictest isolation in which a ping really runs."""
        *stricter, plain = isolation.modes(self._programs)
        for mode in stricter:
            if await self._works(mode):
                return mode
        self._say(
            "sandboxes are plain processes, not kept apart from this machine: bubblewrap is missing or not allowed"
        )
        return plain

    def _mode_now(self) -> Mode:
        """The toolchain may have come since, with modes that keep a user of its own out."""
        closed = self._mode == "user" and not isolation.open_to_all(self._programs)
        return "namespaces" if closed else self._mode

    async def _works(self, mode: Mode) -> bool:
        order = Order("probe", 0, json.dumps({"type": "ping"}).encode(), Limits(1 << 30, 100, 15))
        try:
            sandbox = await self._start(order, mode)
        except OSError:
            return False
        said, _ = await asyncio.gather(sandbox.stdout.read(), sandbox.stderr.read())
        works = (await sandbox.ended()).code == 0 and b'"pong":true' in said
        sandbox.close()
        return works

    async def _start(self, order: Order, mode: Mode) -> ProcessSandbox:
        mark = f"{self.mark}/{order.task}/{order.lease}/"  # closed, so that lease 1 is no part of lease 10
        folder = self._folder / f"{order.task}-{order.lease}"
        uid = _FIRST_UID + next(self._uids) % _UIDS if mode == "user" else 1000
        environment = {**_environment(self._programs.path(), mark), **self._lent(mode, uid, folder, order.limits)}
        passwd = _piped(isolation.users(uid))
        try:
            argv = isolation.command(mode, self._programs, order.limits.memory, passwd)
            running = await start(argv, environment, passwd)
        finally:
            os.close(passwd)
        process.give_up_first(running.pid)
        return ProcessSandbox(order, folder, mark, mode, running)

    def _lent(self, mode: Mode, uid: int, folder: Path, limits: Limits) -> Mapping[str, str]:
        """What differs by isolation."""
        if mode == "plain":
            return _places(folder)
        own = {"SFP_UID": str(uid)} if mode == "user" else {}
        limit = {"SFP_PIDS": str(limits.pids + _HEADROOM)} if isolation.counts_apart(mode) else {}
        return {"HOME": isolation.HOME, "SFP_WORK": isolation.WORK, "TMPDIR": "/tmp", **own, **limit}  # noqa: S108


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, whatever a task did to its modes."""
    if folder.exists():
        shutil.rmtree(folder, onerror=_opened_up)


def _opened_up(function: Callable[..., Any], path: str, error: Any) -> None:
    """A folder that its owner may not read: open it, and try once more."""
    with contextlib.suppress(OSError):
        os.chmod(Path(path).parent, 0o700)
        os.chmod(path, 0o700, follow_symlinks=False) if not Path(path).is_symlink() else None
        shutil.rmtree(path) if Path(path).is_dir() and not Path(path).is_symlink() else os.unlink(path)


@contextlib.contextmanager
def _alone(folder: Path) -> Any:
    """Hold the folder; two launchers would take each other's sandboxes for leftovers."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SfpError(
                f"another launcher has the folder {folder}", "Stop it first, or set SFP_SANDBOX_DIR."
            ) from None
        yield


def _environment(path: str, mark: str) -> dict[str, str]:
    """All that a sandbox gets to know of this machine."""
    return {"PATH": path, "LANG": "C.UTF-8", "USER": "sfp", "LOGNAME": "sfp", MARK: mark}


def _places(folder: Path) -> dict[str, str]:
    """Make the folders of a plain sandbox."""
    places = {"HOME": folder / "home", "SFP_WORK": folder / "work", "TMPDIR": folder / "tmp"}
    remove(folder)
    for place in (folder, *places.values()):
        place.mkdir(mode=0o700)
    return {**{name: str(place) for name, place in places.items()}, "SFP_PARENT": "1"}


def _piped(content: bytes) -> int:
    """A descriptor from which this can be read once."""
    source, target = os.pipe()
    os.write(target, content)
    os.close(target)
    return source
