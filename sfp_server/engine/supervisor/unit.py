"""One service as the daemon keeps it: what it should be, what it is, and the steps between."""

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sfp_server.engine.supervisor import processes
from sfp_server.engine.supervisor.checks import Checks
from sfp_server.engine.supervisor.logs import LogFile, log_path
from sfp_server.engine.supervisor.settings import marked_environment, marks
from sfp_server.engine.supervisor.spec import Bundle, Spec

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
STEADY = 10.0  # seconds of health after which earlier deaths are forgotten


class Unit:
    """A service of the daemon. Nothing here waits: the daemon calls as processes end and time goes on."""

    def __init__(self, bundle: Bundle, spec: Spec, python: str, own: Mapping[str, str]) -> None:
        self.bundle, self.spec = bundle, spec
        self.fingerprint = bundle.fingerprint(spec)
        self.wanted = False
        self.pid: int | None = None
        self.output: int | None = None
        self.checks = Checks(None, self._check, 0)
        self.restarts = 0
        self.start_at = 0.0
        self.last_end = ""
        self.patience: float | None = None  # seconds to wait for its end, in place of its own
        self._python, self._own = python, own
        self._log = LogFile(log_path(bundle.logs, spec.name))
        self._runs = ""  # the fingerprint of what was started
        self._started = 0.0
        self._delay = FIRST_DELAY
        self._kill_at: float | None = None
        self._family: list[processes.Stat] = []

    # What it is

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def alive(self) -> bool:
        return self.pid is not None

    @property
    def stopping(self) -> bool:
        return self._kill_at is not None

    @property
    def must_stop(self) -> bool:
        """It runs, and should not, or not as it does."""
        return self.alive and (not self.wanted or self._runs != self.fingerprint)

    @property
    def ready(self) -> bool:
        return self.alive and not self.stopping and not self.must_stop and self.checks.ready()

    def next(self) -> float | None:
        """When there is something to do."""
        if self.stopping:
            return self._kill_at
        if self.alive:
            return self.checks.next()
        return self.start_at if self.wanted else None

    # What it should be

    def adopt(self, bundle: Bundle, spec: Spec, now: float) -> None:
        """Be this from now on. A process that already is goes on."""
        self.fingerprint = bundle.fingerprint(spec)
        self.bundle, self.spec = bundle, spec
        self.wanted, self.patience = True, None
        self._delay = FIRST_DELAY
        self.start_at = min(self.start_at, now)

    # The steps between

    def start(self, now: float) -> None:
        """Start the process; one that cannot be started is one that died."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reader, False)
        self._started = now
        try:
            self.pid = self._spawn(self.spec.argv, writer, self.spec.dies_by)
        except OSError as error:
            os.close(reader)
            self._died(f"cannot be started: {error}", now)
            return
        finally:
            os.close(writer)
        self.output, self._runs, self._kill_at, self.last_end = reader, self.fingerprint, None, ""
        self.checks = Checks(self.spec.health, self._check, now)

    def stop(self, now: float) -> None:
        """Ask the process to end; it is killed when its time is up."""
        if self.pid is None or self.stopping:
            return
        self.checks.stop()
        self._family = processes.tree([self.pid], processes.table())
        self._kill_at = now + (self.spec.stop_timeout if self.patience is None else self.patience)
        os.kill(self.pid, signal.Signals[self.spec.stop_signal])

    def dismiss(self, now: float, patience: float | None) -> None:
        """Be not wanted any more; who is being stopped already is waited for no longer than this."""
        self.wanted, self.patience = False, patience
        if self._kill_at is not None and patience is not None:
            self._kill_at = min(self._kill_at, now + patience)

    def advance(self, now: float) -> None:
        """Do what is due."""
        if self._kill_at is not None and now >= self._kill_at:
            self.say("did not end in time, killed")
            self._kill_group()
            self._kill_at = now + 1
        elif self.alive and not self.stopping:
            self.checks.advance(now)
            if self.checks.healthy_at and now - max(self.checks.healthy_at, self._started) > STEADY:
                self._delay = FIRST_DELAY

    def ended(self, code: int, now: float) -> None:
        """The process has ended, and has been told from other processes (it is not yet reaped): what it started ends
        with it."""
        was_asked = self.stopping
        self._kill_group()
        self.checks.stop()
        self._sweep()
        self.read()
        self._forget()
        if was_asked:
            self.last_end = ""
            self.start_at = now
        else:
            self._died(_how(code), now)

    def read(self) -> bool:
        """Take what the process said; false when there will be no more."""
        if self.output is None:
            return False
        with suppress(BlockingIOError):
            for _ in range(16):  # others have something to say too
                chunk = os.read(self.output, 65536)
                if not chunk:
                    return False
                self._log.feed(chunk)
        return True

    def close_output(self) -> None:
        if self.output is not None:
            os.close(self.output)
        self.output = None
        self._log.finish()

    def say(self, text: str) -> None:
        """A line in the service's own log."""
        self._log.say(f"supervisor: {text}")

    def _died(self, how: str, now: float) -> None:
        self.last_end = how
        if not self.wanted:
            return
        self.restarts += 1
        self.start_at, self._delay = now + self._delay, min(self._delay * 2, LONGEST_DELAY)
        self.say(f"{how}, starting it again in {self.start_at - now:.1f} s")

    def _forget(self) -> None:
        self.pid, self._kill_at, self._family, self._runs = None, None, [], ""

    def _kill_group(self) -> None:
        if self.pid:
            processes.kill_group(self.pid)

    def _sweep(self) -> None:
        """End what left the group: sessions of their own, by the mark, and who descended when we asked it to stop."""
        main = self.pid
        found = marks(self.bundle, self.name)
        left = processes.kill_all(
            lambda: [
                *(process for process in processes.marked(*found) if process.pid != main),
                *(process for process in self._family if process.pid != main and processes.is_same(process)),
            ]
        )
        if left:
            self.say(f"could not end {', '.join(str(process.pid) for process in left)}")

    def _check(self, argv: tuple[str, ...], output: int) -> int:
        return self._spawn(argv, output, "SIGKILL")

    def _spawn(self, argv: tuple[str, ...], output: int, death_signal: str) -> int:
        environment = marked_environment(self.bundle, self.spec, self._own)
        return processes.start(self.bundle.argv(argv, self._python), environment, output, self.bundle.run, death_signal)

    # What is told of it

    def report(self, now: float, missing: str) -> dict[str, Any]:
        """Its row of `ps`; `missing` names what it waits for."""
        state, health, detail = self._state(missing)
        return {
            "name": self.name,
            "state": state,
            "health": health,
            "image": self.spec.image,
            "replicas": 1,
            "uptime": int(now - self._started) if self.alive else 0,
            "detail": detail,
            "pid": self.pid,
            "restarts": self.restarts,
        }

    def _state(self, missing: str) -> tuple[str, str, str]:
        if self.stopping or self.must_stop:
            return "running", "starting" if self.wanted else self.checks.state, "being stopped"
        if self.alive:
            return "running", self.checks.state, self.checks.said
        if not self.wanted:
            return "absent", "none", ""
        if self.last_end:
            return "exited", "unhealthy" if self.spec.health else "none", self.last_end
        return "starting", "starting", f"waits for {missing}" if missing else ""


def _how(code: int) -> str:
    return f"ended with code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
