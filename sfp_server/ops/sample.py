"""The sample project as a git repository, offered on loopback for as long as a task needs it."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sfp_server import assets
from sfp_server.errors import SfpError

NAME: Final = "deliveries"
BRANCH: Final = "main"

_WHO: Final = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "Sample"), ("EMAIL", "sample@example.com"), ("DATE", "2026-01-01T00:00:00Z"))
}
_CONNECTION: Final = 120.0  # seconds that one clone may take


@contextmanager
def offered() -> Iterator[str]:
    """The address of the repository, `git://127.0.0.1:PORT/deliveries`, which works until the context ends."""
    _need_git_daemon()
    with tempfile.TemporaryDirectory(prefix="sfp-sample-") as folder, _listening() as listener:
        make_repository(Path(folder) / NAME)
        with _answering(listener, Path(folder)):
            yield f"git://127.0.0.1:{listener.getsockname()[1]}/{NAME}"


def make_repository(folder: Path) -> None:
    """A repository with the sample project in one commit, always the same one. No configuration of yours is used."""
    shutil.copytree(assets.templates() / "sample-project", folder)
    _git(folder, "init", "--quiet", f"--initial-branch={BRANCH}")
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message=A sample Salesforce project")


@contextmanager
def _listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)  # how often it looks whether it is to end
        yield listener


@contextmanager
def _answering(listener: socket.socket, folder: Path) -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=_answer, args=(listener, folder, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_CONNECTION)


def _answer(listener: socket.socket, folder: Path, ended: threading.Event) -> None:
    """One `git daemon` a connection, as inetd would: no port to guess, and nothing is left when this process ends."""
    while not ended.is_set():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        with connection:
            _speak(connection, folder)


def _speak(connection: socket.socket, folder: Path) -> None:
    daemon = ["git", "daemon", "--inetd", "--export-all", f"--base-path={folder}"]
    streams = {"stdin": connection, "stdout": connection, "stderr": subprocess.DEVNULL}
    try:
        subprocess.run(daemon, env=_environment(), timeout=_CONNECTION, check=False, **streams)  # type: ignore[call-overload]
    except (OSError, subprocess.TimeoutExpired):
        return  # the one who cloned sees a closed connection


def _git(folder: Path, *arguments: str) -> None:
    ran = subprocess.run(
        ["git", *arguments], cwd=folder, env=_environment(), capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise SfpError(f"git {arguments[0]} failed: {ran.stderr.strip() or ran.returncode}.", "Git 2.28 will do.")


def _environment() -> Mapping[str, str]:
    """This process's environment without anything that leads git elsewhere."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**own, **_WHO, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def _need_git_daemon() -> None:
    if shutil.which("git") is None:
        raise SfpError("git is not installed.", "Install it: apt-get install git")
    where = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    if not (Path(where) / "git-daemon").exists():
        raise SfpError(
            "git is here, its `git daemon` is not, and the demo offers its repository with it.",
            "Install the package git-daemon, or take a repository of yours: sfp server task submit --help",
        )
