"""Sandboxes: one for each attempt, used once, and gone with everything in it. What each kind of them promises."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Literal, Protocol

Reason = Literal["exited", "killed", "timeout", "memory", "pids"]
Key = tuple[str, int]  # task and lease


@dataclass(frozen=True)
class Limits:
    """What one sandbox may use: bytes of memory (its files are in memory too), processes and threads, seconds."""

    memory: int
    pids: int
    timeout: float


@dataclass(frozen=True)
class Order:
    """One attempt to run. `document` is what the child reads; it may hold credentials, so it is never in argv, in an
    environment or in a file."""

    task: str
    lease: int
    document: bytes
    limits: Limits

    @property
    def key(self) -> Key:
        return self.task, self.lease


@dataclass(frozen=True)
class Exit:
    """How a sandbox ended. `reason` is exited where it ended by itself."""

    code: int | None
    signal: int | None
    reason: Reason


class Sandbox(Protocol):
    """One that runs. Whoever holds it reads both streams to their end."""

    order: Order
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader

    async def kill(self, grace: float, reason: Reason = "killed") -> None:
        """Ask it to end, give it `grace` seconds, end it; return when nothing is left."""
        ...

    async def ended(self) -> Exit:
        """Return when it has ended and nothing of it is left: no process, no file."""
        ...

    def close(self) -> None:
        """Let go of one that has ended, and of what it said that nobody read."""
        ...


class Sandboxes(Protocol):
    """Where sandboxes run."""

    def opened(self) -> "contextlib.AbstractAsyncContextManager[str]":
        """Ready to launch, after removing what an earlier one left; says how sandboxes are kept apart. At the end all
        that run are killed."""
        ...

    async def launch(self, order: Order) -> Sandbox:
        """Start one. A `SfpError` says why that cannot be."""
        ...


def exit_of(code: int, reason: Reason) -> Exit:
    """bubblewrap and Docker say 128 + N for a signal, as shells do."""
    number = -code if code < 0 else code - 128 if code > 128 else None
    return Exit(code if number is None else None, number, reason)
