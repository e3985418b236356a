"""Where programs lie: in a Python package that carries them, or on this system."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path


def folder_of(package: str) -> Path | None:
    """The folder of an installed package, found without importing it."""
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def in_package(package: str, *parts: str) -> Path | None:
    """A program that a package carries."""
    folder = folder_of(package)
    program = folder.joinpath(*parts) if folder else None
    return program if program and program.is_file() else None


def on_path(*names: str) -> Path | None:
    """The first of these programs that the system has."""
    found = (shutil.which(name) for name in names)
    return next((Path(path) for path in found if path), None)


def version(program: Path, environment: Mapping[str, str] | None = None) -> tuple[int, ...]:
    """The first version number that a program says of itself; empty where it does not run."""
    asked = [str(program), "--version"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False, env=environment).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"\d+(\.\d+)+", said)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
