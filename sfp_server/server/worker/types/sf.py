"""`sf`: a Salesforce CLI command in a working copy of a git repository."""

import json
import shutil
from pathlib import Path
from typing import Any, Final

from sfp_server.server.worker.types import checks, git
from sfp_server.server.worker.types.base import Context, Ended, Problem, TaskError
from sfp_server.server.worker.types.command import how
from sfp_server.server.worker.types.outputs import allowed, matching, send

OWNER_ONLY: Final = False

_ENVIRONMENT: Final = {
    "SF_DISABLE_TELEMETRY": "true",
    "SFDX_DISABLE_TELEMETRY": "true",
    "SF_AUTOUPDATE_DISABLE": "true",
    "SFDX_AUTOUPDATE_DISABLE": "true",
    "SF_USE_GENERIC_UNIX_KEYCHAIN": "true",
    "SF_HIDE_RELEASE_NOTES": "true",
    "SF_SKIP_NEW_VERSION_CHECK": "true",
    "NO_COLOR": "1",
    "TERM": "dumb",
    "CI": "true",
}
_NO_CLI: Final = "Let the server bring it: toolchain auto in server.yml, then sfp server stop and start."
_NETWORK: Final = ("econnreset", "etimedout", "econnrefused", "enotfound", "eai_again", "socket hang up", "enetunreach")


def validate(data: Any) -> list[Problem]:
    """`{repository, ref?, args: [...], directory?, outputs?: [globs]}`; globs are seen from where the command runs."""
    problems = checks.fields(
        data, ("repository", "ref", "args", "directory", "outputs"), required=("repository", "args")
    )
    if not isinstance(data, dict):
        return problems
    return [
        *problems,
        *(checks.text(data, "repository") or _of(data, "repository", git.repository_problems)),
        *(checks.text(data, "ref", longest=255) or _of(data, "ref", git.ref_problems)),
        *checks.texts(data, "args", least=1),
        *(checks.text(data, "directory") or checks.inside(data, "directory")),
        *checks.globs(data, "outputs"),
    ]


def run(context: Context) -> Any:
    """`{value, commit, exitCode}`: `value` is what the command printed as JSON where `--json` is among its `args`."""
    _check_programs()
    context.progress(0, f"Cloning {git.short_name(context.data['repository'])}")
    copy, commit = git.clone(context, context.data["repository"], context.data.get("ref"))
    start = _start(context, copy)
    context.progress(30, f"Running sf {' '.join(context.data['args'][:3])}")
    ended = _sf(context, start)
    context.progress(90, "Collecting outputs")
    send(context, _outputs(context, copy, start), copy)
    return {"value": _value(context, ended), "commit": commit, "exitCode": ended.code}


def _of(data: Any, name: str, problems: Any) -> list[Problem]:
    return list(problems(data[name])) if name in data else []


def _check_programs() -> None:
    program = shutil.which("sf")
    if program is None:
        raise TaskError("the Salesforce CLI (sf) is not installed where tasks run", _NO_CLI)
    with Path(program).open("rb") as script:
        if b"node" in script.readline(200) and shutil.which("node") is None:
            raise TaskError("Node.js, which the Salesforce CLI needs, is not installed where tasks run", _NO_CLI)


def _start(context: Context, copy: Path) -> Path:
    start = copy / str(context.data.get("directory", "."))
    if start.is_dir() and start.resolve().is_relative_to(copy.resolve()):
        return start
    raise TaskError(f"{git.short_name(context.data['repository'])} has no folder {context.data['directory']}")


def _sf(context: Context, start: Path) -> Ended:
    quiet = ("out",) if _wants_json(context) else ()  # a document, not lines for a person: it becomes the value
    ended = context.run(["sf", *context.data["args"]], start, {**git.environment(), **_ENVIRONMENT}, quiet=quiet)
    if ended.code:
        raise _failure(context, ended)
    return ended


def _wants_json(context: Context) -> bool:
    return "--json" in context.data["args"]


def _failure(context: Context, ended: Ended) -> TaskError:
    """A command that failed has had its say and is not repeated, but where the network was the reason."""
    document = _parsed(ended.output) if _wants_json(context) else None
    told = document.get("message") if isinstance(document, dict) else None
    message = f"sf ended with exit code {ended.code}: {told}" if isinstance(told, str) else f"sf {how(ended)}"
    network = any(sign in (ended.errors + ended.output).lower() for sign in _NETWORK)
    return TaskError(message, "The log has what it wrote.", retry=network, code=ended.code)


def _value(context: Context, ended: Ended) -> Any:
    return _parsed(ended.output) if _wants_json(context) else None


def _parsed(output: str) -> Any:
    """The JSON document in what a command printed; warnings may stand before it."""
    try:
        return json.loads(output[max(output.find("{"), 0) :])
    except ValueError:
        return None


def _outputs(context: Context, copy: Path, start: Path) -> list[Path]:
    """The files that the task names, or else all that the command made or changed."""
    if "outputs" in context.data:
        return matching(copy, start, context.data["outputs"])
    return sorted(path for path in git.changed(context, copy) if allowed(path, copy))
