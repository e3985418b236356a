"""Print the part of requirements.lock that an extra of pyproject.toml needs, hashes and all.

A lock names above each package those that asked for it (`# via …`), so what belongs to an extra is everything that is
reached from its own list. Standard library only: it runs while an image is built, before anything is installed.
"""

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def subset(lock: str, project: Mapping, extra: str) -> str:
    """The entries of a lock that an extra needs, in their order."""
    entries = {normal(entry): entry for entry in re.split(r"\n(?=[A-Za-z0-9])", lock.strip())}
    needed = {normal(requirement) for requirement in project["project"]["optional-dependencies"][extra]}
    if missing := needed - entries.keys():
        raise SystemExit(f"requirements.lock lacks {', '.join(sorted(missing))}: make it anew.")
    while more := {name for name, entry in entries.items() if askers(entry) & needed} - needed:
        needed |= more
    return "\n".join(entry for name, entry in entries.items() if name in needed) + "\n"


def normal(text: str) -> str:
    """The name that a requirement begins with, as the index writes it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", _NAME.match(text)[0]).lower()


def askers(entry: str) -> set[str]:
    """Who asked for a package: `# via a`, or `# via` and a line for each."""
    lines = (line.strip() for line in entry.splitlines() if line.lstrip().startswith("#"))
    names = (line.lstrip("# ").removeprefix("via").strip() for line in lines)
    return {normal(name) for name in names if name}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    sys.stdout.write(subset((folder / "requirements.lock").read_text(), project, sys.argv[2]))
