"""A small API behind Caddy: says what reached it, streams events one at a time, echoes WebSockets' bytes, and breaks
off where it is asked to."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


class Upstream:
    """`seen` are the requests, as method and path; an event of a stream is sent when `go` is set."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[str] = []
        self.go = asyncio.Event()
        self.port = 0

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator["Upstream"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            server.close_clients() if hasattr(server, "close_clients") else None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        method, path, _ = first.split(" ")
        self.seen.append(f"{method} {path}")
        if path == "/events":
            await self._stream(writer)
        elif "/cut" in path:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        elif headers.get("upgrade") == "websocket":
            writer.write(UPGRADED)
            while data := await reader.read(1024):
                writer.write(data)
        else:
            await reader.readexactly(int(headers.get("content-length", 0)))
            writer.write(_answer({"name": self.name, "path": path, "headers": headers}))
        await writer.drain()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM)
        for number in range(2):
            writer.write(f"data: {number}\n\n".encode())
            await writer.drain()
            await self.go.wait()


def _answer(document: object) -> bytes:
    body = json.dumps(document).encode()
    lines = [
        "HTTP/1.1 200 OK",
        "Server: upstream",
        "X-Frame-Options: SAMEORIGIN",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
