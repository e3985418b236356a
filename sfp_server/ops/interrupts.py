"""Being asked to end: by Ctrl-C, by `kill`, or by a terminal that goes away. All three mean the same."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """Each of them raises a KeyboardInterrupt here, so that what was begun is put back."""
    with _handled(_interrupt):
        yield


@contextmanager
def shielded() -> Iterator[None]:
    """None of them does anything here. A handler, not SIG_IGN: that one would be inherited by what is started."""
    with _handled(_nothing):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    before = [(number, signal.signal(number, handler)) for number in _ASKED]
    try:
        yield
    finally:
        for number, old in before:
            signal.signal(number, old)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _nothing(number: int, frame: FrameType | None) -> None:
    return
