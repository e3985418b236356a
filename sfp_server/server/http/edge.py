"""The outermost layer: every request has an id and a trace, and ends in one line of the log, not in a bare failure."""

import logging
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from sfp_server.server import problems
from sfp_server.server.http.asgi import App, Message, Receive, Scope, Send, answer, client_address, header, with_headers
from sfp_server.server.ids import new_id

_LOG = logging.getLogger("sfp.request")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass
class _Exchange:
    """One request and what became of it."""

    id: str
    trace: str
    span: str
    flags: str
    began: float = field(default_factory=time.monotonic)
    status: int = 0
    size: int = 0

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace}-{self.span}-{self.flags}"


class Edge:
    """`X-Request-Id`, W3C trace context, the headers that every answer has, the log."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _exchange(scope)
        scope.setdefault("state", {}).update(request_id=exchange.id, traceparent=exchange.traceparent)
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._guarded(scope, receive, _counting(send, exchange), exchange)
        finally:
            _log(scope, exchange)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send, exchange: _Exchange) -> None:
        sending = with_headers(send, lambda _: _headers(exchange))
        try:
            await self._app(scope, receive, sending)
        except Exception:
            _LOG.exception("failed", extra={"fields": {"request_id": exchange.id, "trace_id": exchange.trace}})
            if exchange.status:
                raise  # half an answer is out: the server cuts the connection, so that nobody takes it for a whole one
            await answer(sending, problems.internal(), exchange.id)


def _exchange(scope: Scope) -> _Exchange:
    given, trace = header(scope, b"x-request-id"), _TRACEPARENT.fullmatch(header(scope, b"traceparent"))
    return _Exchange(
        id=given if _REQUEST_ID.fullmatch(given) else new_id(),
        trace=trace[1] if trace else os.urandom(16).hex(),
        span=os.urandom(8).hex(),
        flags=trace[3] if trace else "00",
    )


def _headers(exchange: _Exchange) -> Iterable[tuple[str, str]]:
    yield "x-request-id", exchange.id
    yield "traceparent", exchange.traceparent
    yield "x-content-type-options", "nosniff"
    yield "cache-control", "no-store"


def _counting(send: Send, exchange: _Exchange) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
        elif message["type"] == "http.response.body":
            exchange.size += len(message.get("body", b""))
        await send(message)

    return sending


def _log(scope: Scope, exchange: _Exchange) -> None:
    principal = scope.get("user")
    fields = {
        "request_id": exchange.id,
        "trace_id": exchange.trace,
        "method": scope["method"],
        "path": scope["path"],  # without the query: signatures stand there
        "status": exchange.status,
        "bytes": exchange.size,
        "ms": round((time.monotonic() - exchange.began) * 1000, 1),
        "client": client_address(scope),
        "principal": f"{principal.kind}/{principal.id}" if principal else "",
    }
    _LOG.log(logging.ERROR if exchange.status >= 500 else logging.INFO, "request", extra={"fields": fields})
