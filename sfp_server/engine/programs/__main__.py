"""`python -m sfp_server.engine.programs PROGRAM`: become it, ask it, or prepare it."""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sfp_server.engine.programs import postgres, ready, redis
from sfp_server.errors import INTERRUPTED, SfpError


def main(arguments: Sequence[str]) -> int:
    """One program; the exit code where it comes back."""
    options = _parser().parse_args(arguments)
    try:
        _PROGRAMS[options.program](options)
    except SfpError as error:
        sys.stderr.write(f"{error.message} {error.hint}".strip() + "\n")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _ready(options: argparse.Namespace) -> None:
    if options.what == "postgres":
        ready.postgres(options.socket)
    else:
        ready.redis(options.socket, options.secrets)


def _toolchain(options: argparse.Namespace) -> None:
    from sfp_server.engine.programs import toolchain

    if options.check:
        _say(json.dumps(toolchain.check(options.into)))
    else:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was begun is cleared away
        toolchain.prepare(options.into, options.mode, _say)


def _problems(options: argparse.Namespace) -> None:
    """Of the programs that the bundle's services need."""
    from sfp_server.engine.supervisor.spec import load

    needed = {spec.name for spec in load(options.bundle).services}
    asked = {"postgres": postgres.problems, "redis": redis.problems}
    items = [problem for name, ask in asked.items() if name in needed for problem in ask()]
    _say(json.dumps({"schema": "sfp.problems", "version": 1, "items": items}))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


_PROGRAMS: dict[str, Callable[[argparse.Namespace], None]] = {
    "postgres": lambda options: postgres.serve(options.data, options.socket, options.secrets),
    "redis": lambda options: redis.serve(options.config, options.data, options.socket, options.secrets),
    "ready": _ready,
    "toolchain": _toolchain,
    "problems": _problems,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="programs", description="The programs that the embedded engine runs.")
    commands = parser.add_subparsers(dest="program", required=True)
    added = {name: commands.add_parser(name) for name in _PROGRAMS}
    for name in ("data", "socket", "secrets"):
        added["postgres"].add_argument(f"--{name}", type=Path, required=True)
        added["redis"].add_argument(f"--{name}", type=Path, required=name == "data")
    added["redis"].add_argument("--config", type=Path)
    added["ready"].add_argument("what", choices=["postgres", "redis"])
    added["ready"].add_argument("--socket", type=Path, required=True)
    added["ready"].add_argument("--secrets", type=Path)
    added["toolchain"].add_argument("--into", type=Path, required=True)
    added["toolchain"].add_argument("--mode", choices=["auto", "system", "off"], default="auto")
    added["toolchain"].add_argument("--check", action="store_true")
    added["problems"].add_argument("--bundle", type=Path, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
