"""`python -m sfp_server.engine.supervisor VERB`: documents and errors are JSON on standard output; errors also stand,
for a person, on standard error."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sfp_server.engine.supervisor import verbs
from sfp_server.engine.supervisor.place import Place
from sfp_server.engine.supervisor.spec import load
from sfp_server.errors import INTERRUPTED, SfpError

Outcome = dict[str, Any] | Iterator[str] | None


def main(arguments: Sequence[str]) -> int:
    """One verb; its exit code."""
    options = _parser().parse_args(arguments)
    try:
        _show(_VERBS[options.verb](options))
    except SfpError as error:
        return _fail(error, quiet=options.verb in ("run", "exec", "logs"))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return _fail(SfpError(str(error)), quiet=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _show(outcome: Outcome) -> None:
    if isinstance(outcome, dict):
        sys.stdout.write(json.dumps(outcome) + "\n")
    elif outcome is not None:
        for line in outcome:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def _fail(error: SfpError, quiet: bool) -> int:
    if not quiet:
        _show({"schema": "sfp.error", "version": 1, "error": error.message, "hint": error.hint})
    sys.stderr.write(f"Error: {error.message}\n" + (f"{error.hint}\n" if error.hint else ""))
    return error.exit_code


def _up(options: argparse.Namespace) -> Outcome:
    verbs.up(load(options.bundle), options.services, options.timeout)
    return None


def _down(options: argparse.Namespace) -> Outcome:
    verbs.down(load(options.bundle), options.services, options.timeout)
    return None


def _logs(options: argparse.Namespace) -> Outcome:
    return verbs.logs(load(options.bundle), options.services, options.tail, options.follow)


def _run(options: argparse.Namespace) -> Outcome:
    verbs.run(load(options.bundle), options.service, options.arguments)
    return None


def _exec(options: argparse.Namespace) -> Outcome:
    verbs.execute(load(options.bundle), options.service, options.arguments)
    return None


def _remove(options: argparse.Namespace) -> Outcome:
    verbs.remove(load(options.bundle), options.keep_data)
    return None


def _problems(options: argparse.Namespace) -> Outcome:
    return {"schema": "sfp.problems", "version": 1, "items": verbs.problems(load(options.bundle))}


def _daemon(options: argparse.Namespace) -> Outcome:
    from sfp_server.engine.supervisor.daemon import Daemon

    os.set_inheritable(options.lock, False)
    Daemon(Place(options.run, options.logs), os.environ).run()
    return None


def _guard(options: argparse.Namespace) -> Outcome:
    from sfp_server.engine.supervisor.guard import guard

    guard(Place(options.run, options.logs))
    return None


_VERBS: dict[str, Callable[[argparse.Namespace], Outcome]] = {
    "up": _up,
    "down": _down,
    "ps": lambda options: verbs.ps(load(options.bundle), options.stats),
    "logs": _logs,
    "run": _run,
    "exec": _exec,
    "problems": _problems,
    "remove": _remove,
    "daemon": _daemon,
    "guard": _guard,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="supervisor", description="Run the services of a bundle as processes.")
    commands = parser.add_subparsers(dest="verb", required=True)
    added = {name: commands.add_parser(name) for name in _VERBS}
    for name in ("daemon", "guard"):
        added[name].add_argument("--run", type=Path, required=True)
        added[name].add_argument("--logs", type=Path, required=True)
    added["daemon"].add_argument("--lock", type=int, required=True)
    for name in set(_VERBS) - {"daemon", "guard"}:
        added[name].add_argument("--bundle", type=Path, required=True)
    _add_options(added)
    return parser


def _add_options(added: dict[str, argparse.ArgumentParser]) -> None:
    added["up"].add_argument("--timeout", type=float, default=120)
    added["down"].add_argument("--timeout", type=float)
    added["ps"].add_argument("--stats", action="store_true")
    added["logs"].add_argument("--tail", type=int, default=100)
    added["logs"].add_argument("--follow", action="store_true")
    added["remove"].add_argument("--keep-data", action="store_true")
    for name in ("up", "down", "logs"):
        added[name].add_argument("services", nargs="*")
    for name in ("run", "exec"):
        added[name].add_argument("service")
        added[name].add_argument("arguments", nargs=argparse.REMAINDER)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
