"""Health: asking a service, by a command, whether it works."""

import os
from collections.abc import Callable

from sfp_server.engine.supervisor.processes import kill_group
from sfp_server.engine.supervisor.spec import Health

_FIRST = 0.05  # seconds after the start of the service
_AGAIN = 0.15  # seconds between two questions until it is healthy

Spawn = Callable[[tuple[str, ...], int], int]


class Checks:
    """The checks of one service since its last start. `state` is starting, healthy, unhealthy or none.

    Nothing here waits: `advance` starts and ends checks as time goes on, `ended` takes their outcome.
    """

    def __init__(self, health: Health | None, spawn: Spawn, now: float) -> None:
        self.health = health
        self.state = "starting" if health else "none"
        self.said = ""
        self.pid: int | None = None
        self.healthy_at = now if health is None else 0.0
        self._spawn = spawn
        self._failures = 0
        self._began = now
        self._next = now + _FIRST
        self._deadline = 0.0
        self._output = -1

    def ready(self) -> bool:
        """Others may start that come after this service."""
        return self.state in ("healthy", "none")

    def next(self) -> float | None:
        """When there is something to do."""
        if self.health is None:
            return None
        return self._deadline if self.pid else self._next

    def advance(self, now: float) -> None:
        """Ask, where it is time; end a check that takes too long."""
        if self.health is None:
            return
        if self.pid is None and now >= self._next:
            self._ask(self.health, now)
        elif self.pid and now >= self._deadline:
            kill_group(self.pid)
            self._deadline = now + 1

    def ended(self, code: int, now: float) -> None:
        """The check that ran has ended: 0 is healthy."""
        if self.pid is None or self.health is None:
            return
        self.pid = None
        self._judge(self.health, code, self._last_words(code), now)
        self._next = now + (_AGAIN if self.state == "starting" else self.health.interval)

    def stop(self) -> None:
        """The service is no more: so is its check."""
        if self.pid:
            kill_group(self.pid)
            self._close()
        self.pid = None

    def _ask(self, health: Health, now: float) -> None:
        self._deadline = now + health.timeout
        self._output = os.memfd_create("check", os.MFD_CLOEXEC)
        try:
            self.pid = self._spawn(health.argv, self._output)
        except OSError as error:
            self._close()
            self._judge(health, 1, str(error), now)
            self._next = now + max(_AGAIN, 1)

    def _judge(self, health: Health, code: int, said: str, now: float) -> None:
        if code == 0:
            self.healthy_at = self.healthy_at or now
            self.state, self.said, self._failures = "healthy", "", 0
            return
        self._failures += 1
        self.said = said
        if self.state == "healthy" and self._failures < health.retries:
            return
        if self.state == "starting" and now - self._began < health.start_period:
            return
        self.state, self.healthy_at = "unhealthy", 0.0

    def _last_words(self, code: int) -> str:
        size = os.fstat(self._output).st_size
        text = os.pread(self._output, 4096, max(0, size - 4096)).decode(errors="replace")
        self._close()
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        silent = f"its check ended with {code}" if code >= 0 else "its check took too long"
        return lines[-1] if lines else silent

    def _close(self) -> None:
        os.close(self._output)
        self._output = -1
