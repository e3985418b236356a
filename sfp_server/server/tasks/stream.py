"""The events of a task as they happen, and their form as server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

import msgspec

from sfp_server.server.db import Unavailable
from sfp_server.server.principal import Principal
from sfp_server.server.tasks.doorbell import TASK, Bell
from sfp_server.server.tasks.model import TERMINAL, Event
from sfp_server.server.tasks.store import Store

_PAGE: Final = 500
_LOOK_EVERY: Final = 1.0  # seconds, where no bell rings
_HEARTBEAT: Final = 15.0  # seconds


async def follow(store: Store, bell: Bell, who: Principal, id: str, after: int) -> AsyncIterator[Event | None]:
    """Each event after `after` exactly once and in order, until the task's last; nothing (None) whenever a look around
    brought no news. Listening begins before the first look, so what happens in between is not missed."""
    with bell.ear(TASK + id) as ear:
        while True:
            over = await _finished(store, who, id)  # asked before the events are read: then they are all there
            events = await store.events(who, id, after, _PAGE)
            for event in events:
                yield event
            after = events[-1].id if events else after
            if (over and len(events) < _PAGE) or (events and _is_last(events[-1])):
                return
            if not events:
                yield None
                await ear.wait(_LOOK_EVERY)


async def _finished(store: Store, who: Principal, id: str) -> bool:
    task = await store.task(who, id)
    return task is None or task.finished


def _is_last(event: Event) -> bool:
    return event.kind == "status" and event.data["status"] in TERMINAL


async def server_sent(events: AsyncIterator[Event | None]) -> AsyncIterator[bytes]:
    """Frames of `text/event-stream`: an event by its kind with its id, a comment every 15 s of silence, and `end` once
    the task is finished. Where the database goes away the stream ends without `end`, to be resumed."""
    clock = asyncio.get_running_loop().time
    spoken, status = clock(), ""
    try:
        async with aclosing(events) as following:  # type: ignore[type-var]
            async for event in following:
                if event is not None:
                    status = event.data["status"] if event.kind == "status" else status
                    yield frame(event)
                    spoken = clock()
                elif clock() - spoken >= _HEARTBEAT:
                    yield b": still here\n\n"
                    spoken = clock()
    except Unavailable:
        return
    yield b"event: end\ndata: " + msgspec.json.encode({"status": status}) + b"\n\n"


def frame(event: Event) -> bytes:
    """One event on the wire."""
    said = {"at": event.at, "attempt": event.attempt, **event.data}
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.kind.encode(), msgspec.json.encode(said))
