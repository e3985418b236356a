"""One attempt: a sandbox launched, listened to, and its end told to the queue exactly once."""

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from typing import Any, Final, Literal

from sfp_server.server.tasks.model import Claim, Outcome
from sfp_server.server.tasks.service import Tasks
from sfp_server.server.worker import messages
from sfp_server.server.worker.launch import Ended, Launch, LauncherClient, LauncherGone, ended
from sfp_server.server.worker.outputs import Outputs, OutputTrouble, Store
from sfp_server.server.worker.sandbox import Limits
from sfp_server.server.worker.telling import Stale, Telling, patiently

How = Literal["cancel", "hand back"]

_GRACE: Final = 5.0  # seconds that a sandbox gets to end by itself
_SLACK: Final = 30.0  # seconds past an attempt's time after which the launcher is not trusted to end it
_TOO_MUCH: Final = {
    "memory": ("it used more memory than a sandbox may", "Raise resources.sandbox.memory in server.yml."),
    "pids": ("it started more processes than a sandbox may", "Raise resources.sandbox.pids in server.yml."),
}


@dataclass(frozen=True)
class Desk:
    """What an attempt needs around it: the queue, the launcher, the store for outputs, and a sandbox's limits."""

    tasks: Tasks
    launcher: LauncherClient
    store: Store
    memory: int  # bytes
    pids: int


@dataclass(frozen=True)
class Unfinished:
    """Nothing came of it that should count: the task goes back as it came."""

    reason: str


class Attempt:
    """Runs a claim to its end, or until it is told to stop."""

    def __init__(self, claim: Claim, desk: Desk) -> None:
        self.claim = claim
        self._desk = desk
        self._telling = Telling(claim, desk.tasks)
        self._outputs = Outputs(f"tasks/{claim.id}/{claim.lease}", desk.store)
        self._how: How | None = None
        self._started, self._asked, self._dropped = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._said: messages.Result | messages.Failure | None = None
        self._last_words: deque[str] = deque(maxlen=3)

    def stop(self, how: How) -> None:
        """End the sandbox; then finish as cancelled, or give the task back. The first word counts."""
        self._how = self._how or how
        self._asked.set()

    def drop(self) -> None:
        """End the sandbox unheard: somebody else may have the task."""
        self._dropped.set()

    async def run(self) -> Outcome | Unfinished | None:
        """To the end: what was told to the queue, or nothing where it did not want to hear it."""
        working = asyncio.ensure_future(self._work())
        stopping = asyncio.ensure_future(self._stop_when_asked())
        dropped = asyncio.ensure_future(self._dropped.wait())
        try:
            await asyncio.wait({working, dropped}, return_when=asyncio.FIRST_COMPLETED)
            told = await working if working.done() else None
        except Stale:
            told = None
        finally:  # without its connection, a sandbox that still runs is killed by the launcher
            await _ended(working, stopping, dropped)
            await self._telling.close()
        if not (isinstance(told, Outcome) and told.status == "completed"):
            await self._outputs.discard()
        return told

    async def _stop_when_asked(self) -> None:
        await self._asked.wait()
        await self._started.wait()
        await self._kill(_GRACE)

    async def _kill(self, grace: float) -> None:
        """Return when the sandbox is gone."""
        with contextlib.suppress(LauncherGone):
            await self._desk.launcher.kill(self.claim.id, self.claim.lease, grace)

    async def _work(self) -> Outcome | Unfinished | None:
        came = await self._attempted()
        await self._telling.flush()
        if self._how == "cancel" and not _completed(came):
            came = Outcome("cancelled", cause="cancelled")
        return came if await self._told(came) else None

    async def _told(self, came: Outcome | Unfinished) -> bool:
        tasks, claim = self._desk.tasks, self.claim
        if isinstance(came, Unfinished):
            return await patiently(lambda: tasks.hand_back(claim, came.reason))
        return await patiently(lambda: tasks.finish(claim, came))

    async def _attempted(self) -> Outcome | Unfinished:
        """Before anybody is told of a failure the sandbox is gone: the next attempt may start at once."""
        try:
            async with asyncio.timeout(self.claim.timeout + _SLACK), self._launched() as launched:
                return self._judged(await self._listen(launched))
        except (TimeoutError, messages.Unreadable, OutputTrouble) as error:
            await self._kill(0)
            return self._broken_off(error)
        except LauncherGone as error:
            return self._lost(str(error)) if self._started.is_set() else Unfinished(str(error))

    def _launched(self) -> "contextlib.AbstractAsyncContextManager[Launch]":
        claim, desk = self.claim, self._desk
        document = {"schema": "sfp.task-document", "version": 1, "task": claim.id, "attempt": claim.attempt}
        limits = Limits(desk.memory, desk.pids, claim.timeout)
        return desk.launcher.launch(claim.id, claim.lease, {**document, "type": claim.type, "data": claim.data}, limits)

    async def _listen(self, launched: Launch) -> Ended:
        understood = messages.Messages()
        async for frame in launched.frames():
            if frame.kind == "x":
                return ended(frame)
            self._started.set()
            if frame.kind == "e":
                self._last_words.extend(line for line in frame.payload.decode(errors="replace").splitlines() if line)
                continue
            for message in understood.feed(frame.payload):
                await self._hear(message)
        raise LauncherGone("the launcher stopped speaking")

    async def _hear(self, message: messages.Message) -> None:
        match message:
            case messages.Said(text, stream):
                await self._telling.log(text, stream)
            case messages.Progressed(percent, text):
                await self._telling.progress(percent, text)
            case messages.FileBegan():
                self._outputs.begin(message)
            case messages.FileBytes(content):
                await self._outputs.write(content)
            case messages.FileEnded():
                await self._outputs.end()
            case _:
                self._said = message

    def _judged(self, end: Ended) -> Outcome | Unfinished:
        """How the attempt went, by how its sandbox ended and by what it said before."""
        if end.reason == "refused":
            return Unfinished(end.message)
        if end.reason == "timeout":
            return _failed(f"it took longer than {self.claim.timeout:g} s and was ended", retry=True, cause="timeout")
        if end.reason in _TOO_MUCH:
            return _failed(*_TOO_MUCH[end.reason], retry=False)
        return self._concluded(end)

    def _broken_off(self, error: Exception) -> Outcome | Unfinished:
        if isinstance(error, OutputTrouble):
            return _failed(str(error), retry=error.retry)
        if isinstance(error, messages.Unreadable):
            return _failed(f"the sandbox could not be understood: {error}")
        return self._judged(Ended(None, None, "timeout"))

    def _concluded(self, end: Ended) -> Outcome | Unfinished:
        if isinstance(self._said, messages.Failure):
            return Outcome("failed", error=self._said.error, retry=self._said.retry)
        if isinstance(self._said, messages.Result) and end.code == 0:
            return Outcome("completed", result=self._said.value, files=tuple(self._outputs.files))
        if end.reason == "killed":  # by us, or by a launcher that was stopped: not by anything that the task did
            return Unfinished("the worker was stopped")
        return self._lost(f"its sandbox ended without a result ({_way(end)})")

    def _lost(self, what: str) -> Outcome:
        words = messages.storable(" | ".join(self._last_words))
        return _failed(f"{what}: {words}" if words else what, retry=True, cause="lost")


def _completed(came: Outcome | Unfinished) -> bool:
    return isinstance(came, Outcome) and came.status == "completed"


def _failed(message: str, hint: Any = "", retry: bool = False, cause: Any = "error") -> Outcome:
    error = {"message": message[:4000], **({"hint": hint} if hint else {})}
    return Outcome("failed", error=error, retry=retry, cause=cause)


def _way(end: Ended) -> str:
    return f"signal {end.signal}" if end.signal else f"exit code {end.code}"


async def _ended(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
