"""Which program a container runs. Each one loads only what it needs: a health check must not load the API."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType

from sfp_server.errors import INTERRUPTED, SfpError, UsageError

# Each module has `main(arguments) -> exit code`.
PROGRAMS: Mapping[str, str] = MappingProxyType(
    {
        "api": "sfp_server.server.api",
        "dispatcher": "sfp_server.server.worker.dispatcher",
        "launcher": "sfp_server.server.worker.launcher",
        "migrate": "sfp_server.server.migrate_command",
        "backup": "sfp_server.server.backup",
        "healthy": "sfp_server.server.healthy",
    }
)


def run(arguments: Sequence[str]) -> int:
    """Run one program to its end. What stops it is said in one line, with what to do."""
    try:
        return _program(arguments)(list(arguments[1:]))
    except SfpError as error:
        sys.stderr.write(f"Error: {error.message}{f' ({error.hint})' if error.hint else ''}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def _program(arguments: Sequence[str]) -> Callable[[list[str]], int]:
    name = arguments[0] if arguments else ""
    if name not in PROGRAMS:
        raise UsageError(f'"{name}" is no program of the server', f"They are: {', '.join(PROGRAMS)}")
    main: Callable[[list[str]], int] = import_module(PROGRAMS[name]).main
    return main
