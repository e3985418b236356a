"""`command`: a program with its arguments, for owners only."""

from typing import Any, Final

from sfp_server.server.worker.types import checks
from sfp_server.server.worker.types.base import Context, Ended, Problem, TaskError
from sfp_server.server.worker.types.outputs import matching, send

OWNER_ONLY: Final = True


def validate(data: Any) -> list[Problem]:
    """`{argv: [program, argument…], stdin?: text, outputs?: [globs below the work folder]}`."""
    problems = checks.fields(data, ("argv", "stdin", "outputs"), required=("argv",))
    if not isinstance(data, dict):
        return problems
    return [
        *problems,
        *checks.texts(data, "argv", least=1),
        *_program(data),
        *checks.text(data, "stdin", empty=True, longest=1 << 20),
        *checks.globs(data, "outputs"),
    ]


def run(context: Context) -> Any:
    """`{exitCode: 0}`; any other exit code is a failure that is not repeated: the command has had its say."""
    ended = _run(context)
    if ended.code:
        raise TaskError(f"{context.data['argv'][0]} {how(ended)}", code=ended.code)
    send(context, matching(context.work, context.work, context.data.get("outputs", ())), context.work)
    return {"exitCode": ended.code}


def how(ended: Ended) -> str:
    """How a program failed, with its last words."""
    end = f"was ended by signal {-ended.code}" if ended.code < 0 else f"ended with exit code {ended.code}"
    return f"{end}: {ended.last_words}" if ended.last_words else end


def _program(data: Any) -> list[Problem]:
    argv = data.get("argv")
    empty = isinstance(argv, list) and argv and isinstance(argv[0], str) and not argv[0].strip()
    return [Problem("/argv/0", "must name a program")] if empty else []


def _run(context: Context) -> Ended:
    argv = context.data["argv"]
    try:
        return context.run(argv, context.work, stdin=context.data.get("stdin"))
    except FileNotFoundError:
        raise TaskError(f"there is no program {argv[0]} where tasks run", "Programs are found on PATH.") from None
    except PermissionError:
        raise TaskError(f"{argv[0]} is not a program that may be run") from None
