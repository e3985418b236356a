"""What workers report, as the store takes it."""

from collections.abc import Mapping
from dataclasses import replace

from sfp_server.errors import SfpError
from sfp_server.server.tasks.model import CLASSES, MOST_SLOTS, Entry, Outcome
from sfp_server.server.tasks.rows import json_text
from sfp_server.server.tasks.store import Ending


def ending_of(outcome: Outcome, delay: float) -> Ending:
    """The end of an attempt; `delay` is how long the task rests if it is tried again."""
    if outcome.status == "completed":
        return Ending("completed", result=json_text(outcome.result), files=json_text(list(outcome.files)))
    cause = "cancelled" if outcome.status == "cancelled" else outcome.cause
    error = {"message": f"the attempt ended: {cause}", **(outcome.error or {}), "cause": cause}
    files = json_text(list(outcome.files))
    return Ending(outcome.status, None, json_text(error), files, cause, outcome.retry, delay)


def handed_back(reason: str) -> Ending:
    """The end of an attempt that does not count."""
    return Ending("handed back", error=json_text({"message": reason, "cause": "handed back"}))


def legible(entry: Entry) -> Entry:
    """An entry as it can be kept: progress is a whole number from 0 to 100, its message a text without NUL."""
    if entry.kind == "log":
        return entry
    message = entry.data.get("message")
    text = None if message is None else str(message).replace("\0", "")
    return replace(entry, data={"progress": max(0, min(100, int(entry.data["progress"]))), "message": text})


def slots_of(counts: Mapping[str, int]) -> Mapping[str, int]:
    """Worker counts by class, checked: `{"critical": 1, "normal": 2, "batch": 0}`."""
    for name, count in counts.items():
        if name not in CLASSES or not 0 <= count <= MOST_SLOTS:
            raise SfpError(
                f"workers.{name}: {count} is not a number of workers",
                f"Classes are {', '.join(CLASSES)}, each from 0 to {MOST_SLOTS}.",
            )
    return counts
