"""The script `sfp`: `sfp server …` is ours, the rest goes to the next `sfp` on PATH."""

import os
import subprocess
import sys
from pathlib import Path

from sfp_server import __version__

SCRIPT = f"#!{sys.executable}\nfrom sfp_server.cli.sfp import main\nmain()\n"


def program(folder: Path, text: str) -> Path:
    folder.mkdir()
    file = folder / "sfp"
    file.write_text(text)
    file.chmod(0o755)
    return file


def sfp(ours: Path, *arguments: str, path: str = "") -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PATH": f"{ours.parent}{path}"}
    return subprocess.run([str(ours), *arguments], env=environment, capture_output=True, text=True, timeout=30)


def test_server_is_ours_and_says_so_in_its_hints(tmp_path: Path) -> None:
    ours = program(tmp_path / "ours", SCRIPT)
    assert sfp(ours, "server", "--version").stdout == f"sfp-server {__version__}\n"
    assert sfp(ours, "server", "fly").stderr.splitlines()[-1] == "Try: sfp server --help"


def test_the_rest_goes_to_the_next_one_with_arguments_streams_and_exit_code(tmp_path: Path) -> None:
    ours = program(tmp_path / "ours", SCRIPT)
    program(tmp_path / "theirs", '#!/bin/sh\nprintf "%s|" "$@"; echo oops >&2; exit 7\n')
    ran = sfp(ours, "orchestrator", "build all", "server", path=f":{tmp_path / 'theirs'}:/usr/bin:/bin")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("orchestrator|build all|server|", "oops\n", 7)


def test_without_another_one_it_says_where_to_get_it(tmp_path: Path) -> None:
    ran = sfp(program(tmp_path / "ours", SCRIPT), "build")
    assert ran.returncode == 2
    assert ran.stderr.splitlines() == [
        "Error: this sfp knows only `sfp server`.",
        "Other sfp commands: npm install --global @flxbl-io/sfp",
    ]
