"""The daemon: one thread that keeps the services of one instance as they were last asked for."""

import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sfp_server import __version__
from sfp_server.clock import rfc3339
from sfp_server.engine.supervisor import processes
from sfp_server.engine.supervisor.control import launch
from sfp_server.engine.supervisor.leftovers import end_leftovers, identity, is_identity
from sfp_server.engine.supervisor.place import Place
from sfp_server.engine.supervisor.spec import load
from sfp_server.engine.supervisor.unit import Unit
from sfp_server.errors import SfpError

_GUARD_DELAY = 1.0  # seconds between two guards
_IDLE = 20.0  # seconds that a daemon without orders waits for some


class Daemon:
    """Holds the lock for as long as it lives. `run` returns when nothing is wanted any more and all has ended."""

    def __init__(self, place: Place, own: Mapping[str, str]) -> None:
        self._place = place
        self._own = own
        self._units: dict[str, Unit] = {}
        self._idle_until = time.monotonic() + _IDLE
        self._guard = 0
        self._guard_at = 0.0
        self._saved: tuple[Any, ...] = ()
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Keep the services until all are to be stopped, and are."""
        processes.adopt_orphans()
        self._wake_on_signals()
        self._take_over(self._place.read_state())
        self._listen()
        while not self._is_done():
            self._keep_guard()
            self._advance()
            self._save()
            for key, _ in self._selector.select(self._pause()):
                key.data()
            self._reap()
        self._leave()

    # Beginning and end

    def _wake_on_signals(self) -> None:
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._dismiss([], None))
        for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)
        self._wakeup = (reader, writer)
        self._selector.register(reader, selectors.EVENT_READ, lambda: reader.recv(4096))

    def _take_over(self, state: Mapping[str, Any]) -> None:
        """End what a predecessor left. Go on with its orders where it was killed and its guard was not; when both are
        gone, whoever started us says what is wanted."""
        end_leftovers(self._place, state)
        if not is_identity(state.get("guard")):
            return
        self._idle_until = 0
        for entry in state["units"]:
            try:
                self._adopt(Path(entry["bundle"]), [entry["name"]], alone=True)
            except (SfpError, OSError) as error:
                self._say(f"{entry['name']} is given up: {error}")
        self._say(f"went on with {', '.join(self._units)}")

    def _listen(self) -> None:
        with suppress(FileNotFoundError):
            self._place.socket.unlink()
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(self._place.socket))
        self._place.socket.chmod(0o600)
        self._server.listen(64)
        self._selector.register(self._server, selectors.EVENT_READ, self._answer)

    def _is_done(self) -> bool:
        if any(unit.wanted or unit.alive for unit in self._units.values()):
            return False
        return bool(self._units) or time.monotonic() > self._idle_until

    def _leave(self) -> None:
        """The state goes first: a guard that finds none goes too."""
        self._place.state.unlink(missing_ok=True)
        processes.kill_all(self._descendants)
        self._place.socket.unlink(missing_ok=True)

    def _descendants(self) -> list[processes.Stat]:
        own = os.getpid()
        self._reap()
        return [found for found in processes.tree([own], processes.table()) if found.pid != own and found.alive]

    # Orders

    def _answer(self) -> None:
        connection, _ = self._server.accept()
        with connection, suppress(OSError):
            connection.settimeout(1)
            line = connection.makefile("rb").readline()
            connection.sendall(json.dumps(self._obey(line)).encode() + b"\n")

    def _obey(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            return self._order(request)
        except SfpError as error:
            return {"error": error.message, "hint": error.hint}
        except (ValueError, KeyError, OSError) as error:
            return {"error": f"the supervisor cannot do this: {error!r}"}

    def _order(self, request: Mapping[str, Any]) -> dict[str, Any]:
        match request["op"]:
            case "up":
                self._adopt(Path(request["bundle"]), request["services"])
            case "down":
                self._dismiss(request["services"], request["timeout"])
        return self._status()

    def _adopt(self, folder: Path, wanted: list[str], alone: bool = False) -> None:
        bundle, now = load(folder), time.monotonic()
        specs = bundle.chosen(wanted) if alone else bundle.with_dependencies(wanted)
        for spec in specs:
            if spec.name not in self._units:
                self._units[spec.name] = Unit(bundle, spec, sys.executable, self._own)
            self._units[spec.name].adopt(bundle, spec, now)
        if not wanted:
            self._forget({spec.name for spec in specs})

    def _forget(self, known: set[str]) -> None:
        """Services that the bundle no longer has."""
        for unit in self._units.values():
            unit.wanted = unit.wanted and unit.name in known

    def _dismiss(self, names: list[str], patience: float | None) -> None:
        self._idle_until = 0
        for unit in self._units.values():
            if not names or unit.name in names:
                unit.dismiss(time.monotonic(), patience)

    def _status(self) -> dict[str, Any]:
        now = time.monotonic()
        return {
            "daemon": os.getpid(),
            "guard": self._guard,
            "version": __version__,
            "prefix": sys.prefix,
            "services": [unit.report(now, ", ".join(self._missing(unit))) for unit in self._units.values()],
        }

    # Keeping

    def _advance(self) -> None:
        now = time.monotonic()
        for unit in list(self._units.values()):
            if unit.must_stop and not unit.stopping and not self._is_needed(unit):
                unit.stop(now)
            elif unit.wanted and not unit.alive and now >= unit.start_at and not self._missing(unit):
                self._start(unit, now)
            unit.advance(now)

    def _start(self, unit: Unit, now: float) -> None:
        unit.start(now)
        if unit.output is not None:
            self._selector.register(unit.output, selectors.EVENT_READ, lambda: self._hear(unit))

    def _hear(self, unit: Unit) -> None:
        if not unit.read():
            self._unhear(unit)

    def _unhear(self, unit: Unit) -> None:
        if unit.output is not None:
            self._selector.unregister(unit.output)
        unit.close_output()

    def _missing(self, unit: Unit) -> list[str]:
        """What it comes after and is not ready."""
        return [name for name in unit.spec.after if name not in self._units or not self._units[name].ready]

    def _is_needed(self, unit: Unit) -> bool:
        """Something that comes after it has to be stopped first."""
        return any(other.must_stop and unit.name in set(self._before(other)) for other in self._units.values())

    def _before(self, unit: Unit) -> Iterator[str]:
        for name in unit.spec.after:
            yield name
            if name in self._units:
                yield from self._before(self._units[name])

    def _pause(self) -> float:
        """Seconds until something is due; what waits for another is woken by it."""
        now = time.monotonic()
        due = [at for unit in self._units.values() if (at := unit.next()) is not None and not self._is_held(unit)]
        return max(0.0, min([*due, self._guard_at if not self._guard else now + 60, now + 5]) - now)

    def _is_held(self, unit: Unit) -> bool:
        return not unit.alive and bool(self._missing(unit))

    def _reap(self) -> None:
        """Everything that ended: services, checks, the guard, and orphans that came to us."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            self._end(found.si_pid, found.si_status if found.si_code == os.CLD_EXITED else -found.si_status)
            os.waitpid(found.si_pid, 0)

    def _end(self, pid: int, code: int) -> None:
        now = time.monotonic()
        if pid == self._guard:
            self._guard = 0
        for unit in self._units.values():
            if unit.pid == pid:
                unit.ended(code, now)
                self._unhear(unit)
            elif unit.checks.pid == pid:
                unit.checks.ended(code, now)

    def _keep_guard(self) -> None:
        now = time.monotonic()
        if not self._guard and now >= self._guard_at:
            self._guard_at = now + _GUARD_DELAY
            with suppress(OSError):
                self._guard = launch(self._place, ["guard"], sys.stderr.fileno())

    def _save(self) -> None:
        """Remember who we are and what is wanted, for a successor."""
        units = [unit for unit in self._units.values() if unit.wanted or unit.alive]
        now = (self._guard, *((unit.name, unit.bundle.folder, unit.pid, unit.wanted) for unit in units))
        if now == self._saved:
            return
        mains = [found for unit in units if (found := identity(unit.pid or 0))]
        wanted = [{"name": unit.name, "bundle": str(unit.bundle.folder)} for unit in units if unit.wanted]
        with suppress(OSError):  # a full disk: the next change is written
            self._place.write_state(
                {"daemon": identity(os.getpid()), "guard": identity(self._guard), "mains": mains, "units": wanted}
            )
            self._saved = now

    def _say(self, text: str) -> None:
        sys.stderr.write(f"{rfc3339(datetime.now(UTC))} {text}\n")
        sys.stderr.flush()
