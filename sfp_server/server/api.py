"""The API process: uvicorn over the application, until it is asked to end."""

import asyncio
import os
import signal
import socket
from types import FrameType

import uvicorn
import uvloop

from sfp_server.errors import SfpError
from sfp_server.server import logs, settings, versions
from sfp_server.server.app import create_app
from sfp_server.server.services import Services, open_services
from sfp_server.server.settings import Settings

# Ten seconds from the signal to the end: seven for requests, the rest for closing what is behind them.
_GRACE = 7  # seconds


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    read = settings.load(os.environ, "api")
    logs.configure(read.log_level)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _later)
    uvloop.run(serve(read))
    return 0


def _later(number: int, frame: FrameType | None) -> None:
    """uvicorn takes the signals while it serves, and raises them again when it has ended: then all is done already."""


async def serve(read: Settings) -> None:
    """Open everything, check that it belongs together, serve, close everything."""
    with _listening(read.listen) as listener:
        async with open_services(read) as services:
            await versions.check(services.database, read)
            server = uvicorn.Server(_configuration(services))
            watching = asyncio.create_task(_tell(server, services))
            await server.serve(sockets=[listener])
            watching.cancel()


def _configuration(services: Services) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(services),
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=services.settings.trusted_proxies,
        timeout_graceful_shutdown=_GRACE,
        timeout_keep_alive=150,  # longer than a proxy keeps an idle connection: the proxy shall be the one to close
    )


def _listening(address: tuple[str, int]) -> socket.socket:
    host, port = address
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise SfpError(f"cannot listen on {host}:{port}: {reason}", "Is something else running there?") from error


async def _tell(server: uvicorn.Server, services: Services) -> None:
    """uvicorn waits for open answers before it tells the application that it ends; streams have to hear of it first."""
    while not server.should_exit:  # noqa: ASYNC110  a plain attribute, set by a signal
        await asyncio.sleep(0.1)
    services.stopping.set()
