"""Asking PostgreSQL and Redis whether they take work, over their sockets and without a driver."""

import shlex
import socket
import struct
from pathlib import Path

from sfp_server.errors import SfpError

_TIMEOUT = 3


def postgres(folder: Path) -> None:
    """It asks for a password, so it takes connections; while it starts or stops it answers with an error instead.
    (Protocol 3.0: StartupMessage, then the first message's kind; what pg_isready does.)"""
    parameters = b"user\0postgres\0database\0postgres\0\0"
    message = struct.pack("!II", 8 + len(parameters), 196608) + parameters
    answer = _exchange(folder / ".s.PGSQL.5432", message)
    if not answer.startswith(b"R"):
        fields = [field.decode(errors="replace") for field in answer[5:].split(b"\0")]
        raise SfpError(next((field[1:] for field in fields if field.startswith("M")), "it does not answer"))


def redis(path: Path, secrets: Path) -> None:
    """It lets us in and answers; while it loads its data it says so."""
    password = shlex.split((secrets / "redis-auth.conf").read_text())[1].encode()
    answer = _exchange(path, _command(b"AUTH", password) + _command(b"PING"), lines=2)
    lines = answer.decode(errors="replace").split("\r\n")
    if lines[:2] != ["+OK", "+PONG"]:
        raise SfpError(next((line[1:] for line in lines if line.startswith("-")), "it does not answer"))


def _command(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def _exchange(path: Path, message: bytes, lines: int = 0) -> bytes:
    """Send, and read one piece of answer, or as many lines."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT)
            connection.connect(str(path))
            connection.sendall(message)
            answer = connection.recv(4096)
            while answer.count(b"\n") < lines and (more := connection.recv(4096)):
                answer += more
            return answer
    except OSError as error:
        raise SfpError(f"{path}: {error.strerror or error}") from None
