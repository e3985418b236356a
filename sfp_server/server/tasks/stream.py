"""The events of a task as they happen, and their form as server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from sfp_server.server.db import Unavailable
from sfp_server.server.principal import Principal
from sfp_server.server.tasks.doorbell import TASK, Bell
from sfp_server.server.tasks.model import End, Event
from sfp_server.server.tasks.store import Store

_PAGE: Final = 500
_LOOK_EVERY: Final = 1.0  # seconds, where no bell rings
HEARTBEAT: Final = 15.0  # seconds


async def follow(store: Store, bell: Bell, who: Principal, id: str, after: int) -> AsyncIterator[Event | End | None]:
    """Each event after `after` exactly once and in order, then the end; nothing (None) whenever a look around brought
    no news. Listening begins before the first look, so what happens in between is not missed."""
    with bell.ear(TASK + id) as ear:
        while task := await store.task(who, id):
            events = await store.events(who, id, after, _PAGE)  # read after the status: an end that it says is in here
            for event in events:
                yield event
                after = event.id
            if task.finished and len(events) < _PAGE:
                yield End(task.status)
                return
            if not events:
                yield None
                await ear.wait(_LOOK_EVERY)


async def server_sent(
    happening: AsyncIterator[Event | End | None], stopping: asyncio.Event, heartbeat: float = HEARTBEAT
) -> AsyncIterator[bytes]:
    """Frames of `text/event-stream`: an event by its kind with its id, a comment every so many seconds of silence, and
    `end` once the task is finished. Where the database goes away, or this server is stopping, the stream ends without
    `end`, to be resumed."""
    clock = asyncio.get_running_loop().time
    spoken = clock()
    with contextlib.suppress(Unavailable):
        async for event in happening:
            if stopping.is_set():
                return
            if event is not None or clock() - spoken >= heartbeat:
                spoken = clock()
                yield frame(event)


def frame(event: Event | End | None) -> bytes:
    """One event on the wire; nothing is a comment, which keeps the line open."""
    match event:
        case None:
            return b": still here\n\n"
        case End(status):
            return b"event: end\ndata: %s\n\n" % msgspec.json.encode({"status": status})
        case Event():
            said = {"at": event.at, "attempt": event.attempt, **event.data}
            return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.kind.encode(), msgspec.json.encode(said))
