"""Waiting for what happens elsewhere, with a deadline."""

import time
from collections.abc import Callable
from threading import Event


def eventually(check: Callable[[], object], timeout: float = 10) -> None:
    """Return when `check` is true; an AssertionError when it was not within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    pause = Event()
    while not check():
        assert time.monotonic() < deadline, f"not within {timeout:g} s"
        pause.wait(0.02)
