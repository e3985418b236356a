"""A sandbox from the inside: where a type works, and how what it says leaves. Standard library only.

Everything leaves by standard output, as JSON lines: {"log", "stream"}, {"progress", "message"}, {"file", "size",
"contentType"} followed by that many raw bytes, and last {"result"} or {"error": {"message", "hint", "retry", "code"}}.
"""

import contextlib
import json
import mimetypes
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock, Thread
from typing import IO, Any, Final

from sfp_server.server.worker import process
from sfp_server.server.worker.types.base import Ended, TaskError

LONGEST_LINE: Final = 64 * 1024  # bytes; what is longer is cut
LARGEST_RESULT: Final = 8 << 20  # bytes of JSON
_LARGEST_OUTPUT: Final = 16 << 20  # bytes of one stream that are kept for the answer
_CHUNK: Final = 64 * 1024
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)?|[\x00-\x08\x0b-\x1f\x7f]")


class Frames:
    """The way out. One frame at a time, whoever speaks."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._lock = Lock()

    def say(self, frame: Mapping[str, Any]) -> None:
        """One JSON line."""
        self._write(json.dumps(frame, separators=(",", ":")).encode() + b"\n")

    def end(self, result: Any) -> None:
        """The result, the last that is said."""
        line = json.dumps({"result": result}, separators=(",", ":"))
        if len(line) > LARGEST_RESULT:
            raise TaskError("the result is larger than 8 MiB", "Let the task write it to a file, as an output.")
        self._write(line.encode() + b"\n")

    def send(self, path: Path, name: str) -> None:
        """A file: its line, then its bytes, as many as the line says."""
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        with path.open("rb") as content, self._lock:
            size = os.fstat(content.fileno()).st_size
            head = json.dumps({"file": name, "size": size, "contentType": kind}, separators=(",", ":"))
            self._out.write(head.encode() + b"\n")
            _copy(content, self._out, size)
            self._out.flush()

    def _write(self, line: bytes) -> None:
        with self._lock:
            self._out.write(line)
            self._out.flush()


class Inside:
    """The context that a type is given (`types.base.Context`)."""

    def __init__(self, data: Mapping[str, Any], work: Path, frames: Frames) -> None:
        self.data = data
        self.work = work
        self.environment: Mapping[str, str] = dict(os.environ)
        self._frames = frames

    def log(self, text: str, stream: str = "out") -> None:
        self._frames.say({"log": _CONTROL.sub("", text), "stream": stream})

    def progress(self, percent: int, message: str = "") -> None:
        self._frames.say({"progress": percent, "message": message})

    def file(self, path: Path, name: str) -> None:
        self._frames.send(path, name)

    def run(
        self,
        argv: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        stdin: str | None = None,
        quiet: Sequence[str] = (),
    ) -> Ended:
        ears = Listener(self, "out", "out" not in quiet), Listener(self, "err", "err" not in quiet)
        try:
            program = _started(argv, cwd, {**self.environment, **(environment or {})}, ears)
        finally:
            for ear in ears:
                os.close(ear.mouth)
        _feed(program, stdin or "")
        code = program.wait()
        process.end(process.own)  # else what it left behind keeps the streams open
        return Ended(code, *(ear.text() for ear in ears))


class Listener:
    """One stream of a program: kept for the answer, and said line by line. It listens before the program starts, for
    one that takes every process it can get would leave none for a thread."""

    def __init__(self, inside: Inside, name: str, aloud: bool) -> None:
        self._inside = inside
        self._name = name
        self._aloud = aloud
        self._kept = bytearray()
        self._line = bytearray()
        self._ear, self.mouth = os.pipe()
        self._listening = Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _listen(self) -> None:
        while chunk := os.read(self._ear, _CHUNK):
            self._hear(chunk)
        os.close(self._ear)
        if self._line:
            self._say()

    def text(self) -> str:
        """All of it, when it has ended."""
        self._listening.join()
        return self._kept.decode(errors="replace")

    def _hear(self, chunk: bytes) -> None:
        self._kept += chunk[: _LARGEST_OUTPUT - len(self._kept)]
        for piece in chunk.splitlines(keepends=True) if self._aloud else ():
            self._line += piece[: max(LONGEST_LINE + 1 - len(self._line), 0)]
            if piece.endswith((b"\n", b"\r")):
                self._say()

    def _say(self) -> None:
        """The line so far; a bare carriage return redraws a line, and is no reason to say an empty one."""
        text = self._line[:LONGEST_LINE].decode(errors="replace").rstrip("\r\n")
        cut = " …" if len(self._line) > LONGEST_LINE else ""
        self._line.clear()
        self._inside.log(text + cut, self._name)


def _started(
    argv: Sequence[str], cwd: Path, environment: Mapping[str, str], ears: tuple[Listener, Listener]
) -> "subprocess.Popen[bytes]":
    out, err = (ear.mouth for ear in ears)
    return subprocess.Popen(
        list(argv), cwd=cwd, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=err, start_new_session=True
    )


def _feed(program: "subprocess.Popen[bytes]", text: str) -> None:
    """Give a program its input; one that does not want it is not in the wrong."""
    assert program.stdin
    left = memoryview(text.encode())
    with contextlib.suppress(BrokenPipeError), program.stdin:
        while left:
            left = left[os.write(program.stdin.fileno(), left) :]


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    left = size
    while left and (chunk := source.read(min(left, _CHUNK))):
        target.write(chunk)
        left -= len(chunk)
    if left:  # announced, and cannot be kept: without the rest nothing after it could be understood
        raise RuntimeError("an output file became shorter while it was sent")
