"""The guard: it waits for the lock that the daemon holds. When it gets it, the daemon is dead."""

import os

from sfp_server.engine.supervisor.control import command
from sfp_server.engine.supervisor.place import Place


def guard(place: Place) -> None:
    """Take the place of a daemon that was killed. One that ended in order has left no state: then there is nothing
    to guard any more."""
    lock = place.take_lock(wait=True)
    if lock is None or not place.read_state():
        return
    os.set_inheritable(lock, True)
    argv = command(place, ["daemon", "--lock", str(lock)])
    os.execv(argv[0], argv)  # noqa: S606  # replaces this process
