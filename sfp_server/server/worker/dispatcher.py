"""The dispatcher of one class of workers: claims attempts, keeps their leases alive, and ends in good order.

Any number of them agree, for slots are counted in the claim statement. One that is killed loses its connections to the
launcher, which kills its sandboxes, and its leases run out.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sfp_server import __version__
from sfp_server.server import logs, settings, versions
from sfp_server.server.db import Database, Unavailable
from sfp_server.server.services import defaults_of, objects_of, open_redis
from sfp_server.server.settings import Settings
from sfp_server.server.tasks.model import CLASSES, Claim, Outcome
from sfp_server.server.tasks.opening import open_tasks
from sfp_server.server.worker.attempt import Attempt, Desk, Unfinished
from sfp_server.server.worker.launch import LauncherClient, LauncherGone
from sfp_server.server.worker.launcher import saying
from sfp_server.server.worker.telling import patiently

_BEAT: Final = 3.0  # seconds between two renewals of the leases, which live for 10
_RESCUE: Final = 1.0  # seconds between two looks for leases that ran out
_LOOK: Final = 1.0  # seconds after which the queue is asked even though no bell rang
_DRAIN: Final = 100.0  # seconds that running attempts get after SIGTERM; what stops us gives 120
_CONNECTIONS: Final = 6
_AGAIN: Final = 0.5  # seconds before something that is away is tried again


def main(arguments: list[str]) -> int:
    """The program, `dispatcher --class normal`: until SIGTERM, and until its attempts have ended."""
    options = argparse.ArgumentParser("dispatcher")
    options.add_argument("--class", dest="slot", choices=CLASSES, required=True)
    slot = options.parse_args(arguments).slot
    read = settings.load(os.environ, "dispatcher")
    logs.configure(read.log_level)
    asyncio.run(serve(read, slot, saying(logging.getLogger("sfp.dispatcher"))))
    return 0


async def serve(read: Settings, slot: str, say: Callable[..., None]) -> None:
    """Open what is needed, check that it belongs together, and run."""
    stop = Stop().on_signals()
    name = f"{socket.gethostname()}-{slot}-{os.getpid()}"
    duty = Duty(slot, name, read.workers, _DRAIN, read.heartbeat)
    async with AsyncExitStack() as stack:
        database = await Database.open(read.database_url, read.secret("database-password"), _CONNECTIONS)
        stack.push_async_callback(database.close)
        await versions.check(database, read)
        redis = open_redis(read)
        stack.push_async_callback(redis.aclose)
        tasks = await stack.enter_async_context(open_tasks(database, redis, defaults_of(read)))
        launcher = LauncherClient(read.launcher_socket, __version__)
        desk = Desk(tasks, launcher, objects_of(read), read.sandbox_memory, read.sandbox_pids)
        await Dispatcher(duty, desk, say).run(stop)


@dataclass(frozen=True)
class Duty:
    """What one dispatcher is for: its class of workers, its name, how many attempts each class runs at once, how many
    seconds running attempts get when it is to stop, and the file that shows that it lives."""

    slot: str
    name: str
    workers: Mapping[str, int]
    drain: float
    heartbeat: Path | None = None


class Stop:
    """SIGTERM: claim no more, let running attempts end. A second one: hand them back at once."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.now = asyncio.Event()

    def press(self) -> None:
        (self.now if self.asked.is_set() else self.asked).set()

    def on_signals(self) -> "Stop":
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.press)
        return self


class Dispatcher:
    """Runs attempts until it is told to stop. `say` takes an event's name and fields: the log."""

    def __init__(self, duty: Duty, desk: Desk, say: Callable[..., None]) -> None:
        self._duty = duty
        self._desk = desk
        self._say = say
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._freed, self._hurry = asyncio.Event(), asyncio.Event()
        self._launcher_doubtful = False

    async def run(self, stop: Stop) -> None:
        """Until `stop`, and until nothing of its own runs any more. A `SfpError` where it must not start at all."""
        around = [asyncio.ensure_future(job) for job in (self._show_life(), self._keep(), self._listen())]
        claiming = asyncio.ensure_future(self._claim(stop))
        told = asyncio.ensure_future(stop.asked.wait())
        try:
            done, _ = await asyncio.wait({told, claiming, *around}, return_when=asyncio.FIRST_COMPLETED)
            for job in done:
                job.result()  # nothing but the stop ends by itself; of anything else it is the error
            await asyncio.wait({claiming}, timeout=_BEAT)  # a claim on its way is not to be lost
            await self._drain(stop)
        finally:
            await _cancelled(told, claiming, *self._running, *around)

    async def _claim(self, stop: Stop) -> None:
        await patiently(lambda: self._desk.tasks.set_workers(self._duty.workers))
        self._say("dispatcher ready", slot=self._duty.slot, name=self._duty.name, workers=dict(self._duty.workers))
        await self._launcher_back(stop)
        while not stop.asked.is_set():
            await self._claim_one(stop)

    async def _claim_one(self, stop: Stop) -> None:
        """One claim, or a wait for a reason to try again. Without a launcher nothing is claimed: a task could only
        go back."""
        if self._launcher_doubtful:
            await _first(stop.asked.wait(), asyncio.sleep(_AGAIN))
            return await self._launcher_back(stop)
        self._freed.clear()
        try:
            claim = await self._desk.tasks.claim(self._duty.name, self._duty.slot)
        except Unavailable:
            return await _first(stop.asked.wait(), asyncio.sleep(_AGAIN))
        if claim:
            return self._take(claim)
        await _first(stop.asked.wait(), self._freed.wait(), self._desk.tasks.wait_for_work(self._duty.slot, _LOOK))

    async def _launcher_back(self, stop: Stop) -> None:
        while not stop.asked.is_set():
            try:
                await self._desk.launcher.greet()
            except LauncherGone:
                await _first(stop.asked.wait(), asyncio.sleep(_AGAIN))
            else:
                self._launcher_doubtful = False
                return

    def _take(self, claim: Claim) -> None:
        attempt = Attempt(claim, self._desk)
        self._attempts[claim.key] = attempt
        running = asyncio.create_task(self._run(attempt))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _run(self, attempt: Attempt) -> None:
        claim = attempt.claim
        about = {"task": claim.id, "lease": claim.lease, "attempt": claim.attempt, "type": claim.type}
        self._say("attempt started", **about)
        try:
            told = await attempt.run()
        except Exception as error:  # the lease runs out, and the task is rescued; the others go on
            return self._say("attempt broke", **about, error=f"{type(error).__name__}: {error}")
        finally:
            del self._attempts[claim.key]
            self._freed.set()
        if isinstance(told, Unfinished) or (told and told.cause == "lost"):
            self._launcher_doubtful = True  # it is asked before the next claim
        self._say("attempt ended", **about, **_summary(told))

    async def _keep(self) -> None:
        """Renew the leases, and see to those that nobody renews. After a time without PostgreSQL every dispatcher gets
        to renew its own before any is taken for lost."""
        clock = asyncio.get_running_loop().time
        beat_at = rescue_at = clock()
        while True:
            try:
                if self._hurry.is_set() or clock() >= beat_at:
                    self._hurry.clear()
                    await self._beat()
                    beat_at = clock() + _BEAT
                if clock() >= rescue_at:
                    await self._rescue()
                    rescue_at = clock() + _RESCUE
            except Unavailable:
                beat_at, rescue_at = clock(), clock() + 2 * _BEAT
            await _first(self._hurry.wait(), asyncio.sleep(_AGAIN))

    async def _beat(self) -> None:
        claims = [attempt.claim for attempt in self._attempts.values()]
        if not claims:
            return
        beat = await self._desk.tasks.beat(claims)
        for claim in claims:
            attempt = self._attempts.get(claim.key)
            if attempt and claim.key not in beat.live:
                self._say("attempt stale", task=claim.id, lease=claim.lease)
                attempt.drop()
            elif attempt and claim.key in beat.cancelled:
                attempt.stop("cancel")

    async def _rescue(self) -> None:
        rescued = await self._desk.tasks.rescue()
        if rescued:
            self._say("attempts rescued", count=rescued)

    async def _listen(self) -> None:
        """Hints of cancellations only bring the next beat forward; it says them for certain."""
        async for task in self._desk.tasks.cancellations():
            if any(claim_task == task for claim_task, _ in self._attempts):
                self._hurry.set()
        await asyncio.Event().wait()

    async def _show_life(self) -> None:
        while True:
            if self._duty.heartbeat:
                await asyncio.to_thread(self._duty.heartbeat.touch)
            await asyncio.sleep(1)

    async def _drain(self, stop: Stop) -> None:
        self._say("dispatcher draining", attempts=len(self._running), seconds=self._duty.drain)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._duty.drain):
                await _first(stop.now.wait(), self._idle())
        for attempt in self._attempts.values():
            attempt.stop("hand back")
        await self._idle()
        self._say("dispatcher stopped")

    async def _idle(self) -> None:
        if self._running:
            await asyncio.wait({*self._running})


def _summary(told: Outcome | Unfinished | None) -> dict[str, Any]:
    if told is None:
        return {"outcome": "stale"}
    if isinstance(told, Unfinished):
        return {"outcome": "handed back", "reason": told.reason}
    message = told.error["message"] if told.error else None
    return {"outcome": told.status, **({"error": message, "retry": told.retry} if message else {})}


async def _first(*waits: Awaitable[Any]) -> None:
    """Return when one of these is done; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _cancelled(*tasks)


async def _cancelled(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
