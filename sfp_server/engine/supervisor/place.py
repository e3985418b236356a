"""Where an instance's supervisor lies: its socket, lock and state, all in the instance's `run` folder."""

import fcntl
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfp_server.errors import SfpError

SOCKET_PATH = 107  # a Unix socket's path holds no more bytes on Linux
LONGEST_SOCKET = "/supervisor.sock"


@dataclass(frozen=True)
class Place:
    """The files of one supervisor. The folder is for its owner alone."""

    run: Path
    logs: Path

    @property
    def socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def lock(self) -> Path:
        """Held (flock) by the one daemon for as long as it lives; its guard waits for it."""
        return self.run / "supervisor.lock"

    @property
    def state(self) -> Path:
        """What the daemon was told, and who it is: what its successor goes on with. Gone after a full stop."""
        return self.run / "supervisor.json"

    @property
    def log(self) -> Path:
        return self.logs / "supervisor.log"

    def make(self) -> None:
        """Make both folders. A run folder that somebody else could have prepared is refused."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self.run.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise SfpError(
                f"{self.run} is not a folder of yours.", f"Look whose it is, then remove it: rm -r {self.run}"
            )
        if len(os.fsencode(self.run)) + len(LONGEST_SOCKET) > SOCKET_PATH:
            raise SfpError(f"{self.run} is too long for a socket's path.", "Use a shorter folder for `run`.")
        self.run.chmod(0o700)

    def take_lock(self, wait: bool = False) -> int | None:
        """The lock as an open file, or nothing where another process holds it (never nothing with `wait`)."""
        held = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(held)
            return None
        return held

    def read_state(self) -> dict[str, Any]:
        """The last state written; empty where there is none."""
        try:
            state = json.loads(self.state.read_text())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) and state.get("version") == 1 else {}

    def write_state(self, state: dict[str, Any]) -> None:
        """Replace the state, whole or not at all."""
        fresh = self.state.with_suffix(".new")
        fresh.write_text(json.dumps({"version": 1, **state}))
        fresh.replace(self.state)
