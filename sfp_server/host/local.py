"""This machine as a host."""

import errno
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sfp_server.cmd.base import Cmd, Secret
from sfp_server.errors import RemoteError
from sfp_server.host.base import Result

_NAME = "this machine"


class LocalHost:
    """Commands run here, each in a session of its own: a Ctrl-C at the terminal reaches this program alone, which
    then ends what it started. `grace` is the seconds between asking a command to end and making it."""

    name = _NAME

    def __init__(self, grace: float = 5) -> None:
        self._grace = grace

    def run(self, command: Cmd) -> Result:
        process = _started(command, subprocess.PIPE)
        try:
            stdout, stderr = process.communicate(_input(command), timeout=command.timeout)
        except subprocess.TimeoutExpired:
            _end(process, self._grace)
            raise _overran(command, self.name) from None
        except BaseException:
            _end(process, self._grace)
            raise
        return Result(process.returncode, _text(stdout), _text(stderr))

    def stream(self, command: Cmd) -> Iterator[str]:
        process = _started(command, subprocess.STDOUT)
        alarm = _Alarm(process, command.timeout)
        last = ""
        try:
            _feed(process, _input(command))
            for line in process.stdout or ():
                yield (last := _text(line).rstrip("\r\n"))
            code = process.wait()
        finally:
            alarm.cancel()
            _end(process, self._grace)
        if alarm.rang:
            raise _overran(command, self.name)
        if code != 0:
            raise RemoteError(f"{command.argv[0]} failed ({code}) on {self.name}: {last.strip() or 'it said nothing'}")

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        try:
            write(Path(path), content, mode)
        except OSError as error:
            raise RemoteError(f"cannot write {path}: {_why(error)}.", _remedy(error, path)) from error

    def get(self, path: str) -> bytes | None:
        try:
            return Path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise RemoteError(f"cannot read {path}: {_why(error)}.") from error


class _Alarm:
    """Ends a process when its time is up, and knows that it did."""

    def __init__(self, process: subprocess.Popen[bytes], timeout: float | None) -> None:
        self.rang = False
        self._process = process
        self._timer = threading.Timer(timeout, self._ring) if timeout is not None else None
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def _ring(self) -> None:
        self.rang = True
        _signal(self._process, signal.SIGKILL)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _started(command: Cmd, stderr: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL if command.stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=command.cwd,
            env={**os.environ, **command.env},
            start_new_session=True,
        )
    except OSError as error:
        missing = error.filename if error.filename in (command.cwd, command.argv[0]) else command.argv[0]
        raise RemoteError(f"cannot run {missing} on {_NAME}: {_why(error)}.") from error


def _input(command: Cmd) -> bytes | None:
    given = command.stdin.reveal() if isinstance(command.stdin, Secret) else command.stdin
    return None if given is None else given.encode()


def _feed(process: subprocess.Popen[bytes], given: bytes | None) -> None:
    """Write standard input beside the reading of the output, so that neither waits for the other."""
    if given is not None:
        threading.Thread(target=_pour, args=(process, given), daemon=True).start()


def _pour(process: subprocess.Popen[bytes], given: bytes) -> None:
    try:
        with process.stdin or open(os.devnull, "wb") as pipe:
            pipe.write(given)
    except (BrokenPipeError, ValueError):
        return  # it ended without reading all of it: its exit code tells more


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """Nothing of the command's group runs after this, even where a second Ctrl-C cuts the waiting short."""
    if process.poll() is None:
        try:
            _signal(process, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        finally:
            _signal(process, signal.SIGKILL)
            process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write beside the file and rename over it: whoever reads sees the old or the new, never a part."""
    _make_folders(path.parent, 0o700 if mode & 0o077 == 0 else 0o755)
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    settle(path.parent)


def _make_folders(folder: Path, mode: int) -> None:
    if folder.is_dir():
        return
    _make_folders(folder.parent, mode)
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(mode)
    settle(folder.parent)


def settle(folder: Path) -> None:
    """What was renamed or made in the folder survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _text(content: bytes) -> str:
    return content.decode(errors="replace")


def _overran(command: Cmd, name: str) -> RemoteError:
    return RemoteError(f"{command.argv[0]} took longer than {command.timeout:g} s on {name} and was ended.")


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _remedy(error: OSError, path: str) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"Make room on the disk that holds it, then try again: df -h {Path(path).parent}"
    return ""
