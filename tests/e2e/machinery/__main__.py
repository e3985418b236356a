"""`python -m tests.e2e.machinery up FOLDER`: everything that a release needs, and one built from this checkout.

FOLDER gets `upstream.yml` and `release.json`. `down` removes the registry with what was pushed to it, and the
stand-ins; the bare base image stays, for it takes longest.
"""

import subprocess
import sys
from pathlib import Path

from tests.e2e.machinery import registry
from tests.e2e.machinery.docker import PREFIX, remove
from tests.e2e.machinery.prepared import PORT, prepare
from tests.e2e.machinery.registry import LocalRegistry
from tests.e2e.machinery.stages import Stages
from tests.e2e.machinery.standins import BASES, UPSTREAM


def up(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    stages = Stages()
    found = prepare(folder, stages)
    command = [sys.executable, "-c", "from sfp_server.cli import main; main()", "release", "build"]
    with stages.stage("release"):
        return subprocess.run([*command, *found.build_options(), "--output", folder / "release.json"]).returncode


def down() -> int:
    name = f"{PREFIX}registry"
    registry.stop(LocalRegistry(f"127.0.0.1:{PORT}", name, name), data=True)
    for target in (*BASES, *UPSTREAM, "registry"):
        remove("image", f"{PREFIX}{target}:latest")
    return 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["up", folder]:
            sys.exit(up(Path(folder)))
        case ["down"]:
            sys.exit(down())
    sys.exit("python -m tests.e2e.machinery up FOLDER | down")
