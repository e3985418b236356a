"""Somebody who is not root, and a Python that they can use."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import sfp_server

NOBODY = 65534
# Starting itself again is what a supervisor does: a Python below a folder that is root's alone cannot.
_TRY = (
    "import subprocess, sys; subprocess.run([sys.executable, '-m', 'sfp_server.engine.supervisor', '--help'], check=1)"
)


@dataclass(frozen=True)
class OrdinaryUser:
    """`command` is how this user calls Python; `base` is a folder that is theirs."""

    uid: int
    command: tuple[str, ...]
    base: Path


def ordinary_user(base: Path) -> OrdinaryUser | None:
    """Who runs the tests; where that is root, nobody, if there is a Python for them."""
    if os.geteuid() != 0:
        return OrdinaryUser(os.geteuid(), (sys.executable,), base)
    os.chown(base, NOBODY, NOBODY)
    for python in (sys.executable, "/usr/bin/python3"):
        command = (*_as_nobody(base), python)
        if subprocess.run([*command, "-c", _TRY], capture_output=True, cwd="/").returncode == 0:
            return OrdinaryUser(NOBODY, command, base)
    return None


def _as_nobody(home: Path) -> tuple[str, ...]:
    here = Path(sfp_server.__file__).parents[1]
    path = f"{here}:{':'.join(entry for entry in sys.path if entry.endswith('-packages'))}"
    person = ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--")
    return (*person, "env", f"PYTHONPATH={path}", f"HOME={home}")
