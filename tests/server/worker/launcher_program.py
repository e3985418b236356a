"""A launcher as a program of its own, to be killed: `python launcher_program.py FOLDER strict|plain`."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from sfp_server import __version__
from sfp_server.server.worker import isolation
from sfp_server.server.worker.bubblewrap import ProcessSandboxes
from sfp_server.server.worker.launcher import Launcher, Rules, serve
from sfp_server.server.worker.types import TYPES


def main(folder: Path, kind: str) -> None:
    programs = isolation.programs(None)
    programs = replace(programs, bubblewrap=None) if kind == "plain" else programs
    sandboxes = ProcessSandboxes("program", folder / "sandboxes", programs, print)
    launcher = Launcher(sandboxes, Rules(__version__, TYPES, 30), _say)
    asyncio.run(serve(launcher, folder / "launcher.sock"))


def _say(event: str, **fields: object) -> None:
    print(event, fields, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
