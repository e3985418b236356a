"""What a supervisor that was killed left behind: found by its state and by the mark in their environment, and ended."""

from collections.abc import Mapping
from typing import Any

from sfp_server.engine.supervisor.place import Place
from sfp_server.engine.supervisor.processes import Stat, is_same, kill_all, marked, stat, wait_gone
from sfp_server.engine.supervisor.settings import RUN_MARK

_PATIENCE = 10.0  # seconds for what is ending already: PostgreSQL writes its checkpoint


def identity(pid: int) -> list[int] | None:
    """A process as it is remembered: its number and its start, which no later process shares."""
    found = stat(pid) if pid else None
    return [found.pid, found.start] if found else None


def is_identity(remembered: Any) -> bool:
    """The remembered process still runs."""
    return isinstance(remembered, list) and is_same(_remembered(remembered))


def _remembered(pair: list[int]) -> Stat:
    return Stat(pair[0], 0, "R", pair[1], 0)


def end_leftovers(place: Place, state: Mapping[str, Any]) -> None:
    """End every process of the instance's services. The kernel has told the services themselves to end when their
    supervisor died: they get a little time for it; what they had started does not. Hold the lock."""
    mains = [_remembered(pair) for pair in state.get("mains", [])]
    known = {main.pid for main in mains if is_same(main)}
    mark = f"{RUN_MARK}={place.run}"
    kill_all(lambda: [process for process in marked(mark) if process.pid not in known])
    wait_gone(mains, _PATIENCE)
    kill_all(lambda: marked(mark))
