"""The shape of an ASGI application, and the few things that every layer needs of it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from ipaddress import ip_address
from typing import Any, TypeAlias

import msgspec

from sfp_server.server.problems import Problem

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

PROBLEM_JSON = "application/problem+json"


def header(scope: Mapping[str, Any], name: bytes) -> str:
    """The first header of that name (in lower case), or nothing."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def client_address(scope: Mapping[str, Any]) -> str:
    """Where the request came from: the peer, or what a trusted proxy said of it. Nothing where that is no IP address
    (some proxies add a port, and a client at their place may say anything): audit entries hold addresses only."""
    client = scope.get("client")
    try:
        return str(ip_address(client[0].partition("%")[0])) if client else ""
    except ValueError:
        return ""


def request_id(scope: Mapping[str, Any]) -> str:
    """The id that the outermost layer gave to this request."""
    return str(scope.get("state", {}).get("request_id", ""))


def with_headers(send: Send, headers: Callable[[Message], Iterable[tuple[str, str]]]) -> Send:
    """A `send` that adds headers to the start of the answer, unless it has them already."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message.get("headers", ())}
            added = [(name.encode(), value.encode("latin-1")) for name, value in headers(message)]
            message["headers"] = [*message.get("headers", ()), *(pair for pair in added if pair[0] not in present)]
        await send(message)

    return sending


async def answer(send: Send, problem: Problem, id: str) -> None:
    """Send a problem from a layer that stands outside the framework."""
    headers: Mapping[str, str] = {"content-type": PROBLEM_JSON, **problem.headers}
    body = msgspec.json.encode(problem.document(id))
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": problem.status, "headers": [*raw, length]})
    await send({"type": "http.response.body", "body": body})
