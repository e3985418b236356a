"""What services say: one file each, every line with its time (UTC), rotated by size; read back, or followed."""

import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, closing, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from sfp_server.clock import rfc3339

LIMIT = 10 * 1024 * 1024  # bytes of one file
FILES = 3  # the one that is written, and two before it
_LONGEST_LINE = 64 * 1024
_BLOCK = 64 * 1024


def log_path(logs: Path, service: str) -> Path:
    return logs / f"{service}.log"


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path


class LogFile:
    """A service's log while it is written. A disk that is full loses lines, never the writer."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self.path = path
        self.limit = limit
        self._rest = b""
        self._open()

    def feed(self, chunk: bytes) -> None:
        """Take output as it comes; whole lines are written, and ones that do not end."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        self._write(lines)

    def say(self, text: str) -> None:
        """A line of the supervisor's own."""
        self.finish()
        self._write([text.encode()])

    def finish(self) -> None:
        """The service ended: what it said last may lack a line end."""
        rest, self._rest = self._rest, b""
        self._write([rest] if rest else [])

    def close(self) -> None:
        self.finish()
        os.close(self._file)

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size

    def _write(self, lines: Sequence[bytes]) -> None:
        if not lines:
            return
        stamp = rfc3339(datetime.now(UTC)).encode()
        text = b"".join(stamp + b" " + line + b"\n" for line in lines)
        with suppress(OSError):
            if self._size + len(text) > self.limit:
                self._rotate()
            self._size += os.write(self._file, text)

    def _rotate(self) -> None:
        for number in range(FILES - 1, 0, -1):
            with suppress(FileNotFoundError):
                _older(self.path, number - 1).rename(_older(self.path, number))
        os.close(self._file)
        self._open()


def merged(logs: Path, services: Sequence[str], count: int) -> list[str]:
    """The last lines of each service as `service | time text`, all in the order of their times."""
    return _in_order((name, _last_of(log_path(logs, name), count)) for name in services)


def follow(
    logs: Path, services: Sequence[str], count: int, pause: Callable[[float], None] = time.sleep
) -> Generator[str, None, None]:
    """The same, and then new lines as they come, without end and without a gap."""
    with ExitStack() as stack:
        readers = [(name, stack.enter_context(closing(Reader(log_path(logs, name))))) for name in services]
        yield from _in_order((name, reader.last(count)) for name, reader in readers)
        while True:
            fresh = _in_order((name, reader.new()) for name, reader in readers)
            yield from fresh
            if not fresh:
                pause(0.1)


def tail(logs: Path, service: str, count: int) -> list[str]:
    """The last lines of one service as it said them, without their times."""
    return [line.partition(" ")[2] for line in _last_of(log_path(logs, service), count)]


def _last_of(path: Path, count: int) -> list[str]:
    with closing(Reader(path)) as reader:
        return reader.last(count)


def _in_order(found: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    lines = [(line[:24], f"{name} | {line}") for name, lines in found for line in lines]
    return [line for _, line in sorted(lines, key=lambda pair: pair[0])]


class Reader:
    """One log as it is read: its last lines, then what is added, through every rotation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rest = b""
        self._file = _open(path)

    def last(self, count: int) -> list[str]:
        """The last lines, from the rotated files too; `new` goes on from here."""
        lines = _last_lines(self._file, count)
        for number in range(1, FILES):
            if len(lines) < count:
                with _open(_older(self.path, number)) or nullcontext() as older:
                    lines = _last_lines(older, count - len(lines)) + lines
        return lines

    def close(self) -> None:
        if self._file:
            self._file.close()

    def new(self) -> list[str]:
        """The lines added since the last call."""
        text = self._rest + self._read()
        if self._rotated():
            text += self._read()  # what came between reading and looking
            self.close()
            self._file = _open(self.path)
            text += self._read()
        whole, _, self._rest = text.rpartition(b"\n")
        return _texts(whole)

    def _read(self) -> bytes:
        return self._file.read() if self._file else b""

    def _rotated(self) -> bool:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return False
        return self._file is None or os.fstat(self._file.fileno()).st_ino != found.st_ino


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _last_lines(file: BinaryIO | None, count: int) -> list[str]:
    """From the back in blocks, until they hold that many lines; the file stands at its end afterwards."""
    if file is None or count <= 0:
        return []
    end = start = file.seek(0, os.SEEK_END)
    text = b""
    while start and text.count(b"\n") <= count:
        size = min(_BLOCK, start)
        start = file.seek(start - size)
        text = file.read(size) + text
    file.seek(end)
    return _texts(text)[-count:]


def _texts(text: bytes) -> list[str]:
    return text.decode(errors="replace").removesuffix("\n").split("\n") if text else []
