"""What services use of the machine: processor and memory of each one's whole tree, from /proc."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sfp_server.engine.supervisor.processes import TICKS, table, tree

_SPAN = 0.2  # seconds between two looks
_PAGE = os.sysconf("SC_PAGE_SIZE")


def add(rows: Sequence[dict[str, Any]]) -> None:
    """Add `cpu`, a share of one core, and `memory` in bytes to each row of a service that runs."""
    running = [row for row in rows if row["pid"]]
    before, began = table(), time.monotonic()
    time.sleep(_SPAN if running else 0)
    after, span = table(), time.monotonic() - began
    for row in running:
        members = tree([row["pid"]], after)
        earlier = {pid: before[pid].spent for pid in before}
        spent = sum(member.spent - earlier.get(member.pid, 0) for member in members)
        row["cpu"] = round(spent / TICKS / span, 3)
        row["memory"] = sum(_memory(member.pid) for member in members)


def _memory(pid: int) -> int:
    """Its proportional share, so that what processes share is counted once; else all that is resident."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return _resident(pid)


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0
