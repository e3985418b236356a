"""Time: what a clock on the wall says, and how long something took. Never the one for the other."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where a program that needs the time gets it; tests pass one that jumps."""

    def now(self) -> datetime:
        """The time of day, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def rfc3339(moment: datetime) -> str:
    """`2026-11-23T08:15:00.123Z`: UTC, milliseconds (RFC 3339)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
