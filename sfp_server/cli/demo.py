"""`demo`: an instance on this machine, and a real task that runs on it."""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfp_server.cli import connection, ui
from sfp_server.errors import UsageError

if TYPE_CHECKING:
    from sfp_server.client import Api, TaskStatus
    from sfp_server.ops.instance import Instance

app = typer.Typer(rich_markup_mode=None)

TENANT = "demo"
CONVERT = ["project", "convert", "source", "--output-dir", "deploy"]

_SCHEMA = "sfp.demo/1"
_DONE = "demo.json"
_NO_CLI = "The Salesforce CLI is not here (toolchain in server.yml), so a task of type ping runs in its place."
_CLOSING = """
Address  {url}/sfp/api    for people: {url}/sfp/apidocs
Sign in  commands on this machine use the owner's token, which lies in
           {secrets}
         Other programs take it from there unseen:
           export SFP_SERVER_URL={url}
           export SFP_SERVER_TOKEN="$(sed -n 's/^owner-token: *"\\(.*\\)"$/\\1/p' {secrets})"
Next     {first}"""


@app.command()
def demo(
    engine: Annotated[str, typer.Option(metavar="ENGINE", help="What runs its services: embedded.")] = "embedded",
    base_dir: ui.BASE_DIR = None,
    dry_run: ui.DRY_RUN = False,
) -> None:
    """Bring up an instance here and run a real task on it."""
    if engine != "embedded":
        raise UsageError(f'the engine "{engine}" cannot run the demo yet.', "Use --engine embedded (the default).")
    at = ["--tenant", TENANT, *(["--base-dir", str(base_dir)] if base_dir else [])]
    commands = [["init", *at, "--engine", engine, "--no-interactive"], ["start", *at]]
    if dry_run:
        return _rehearse(commands, at)
    instance = _instance(base_dir)
    if not instance.settings_file.exists():
        _run(commands[0], quiet=True)
        ui.say(f"Made the tenant {TENANT}: {instance.folder}")
    _run(commands[1])
    with connection.connect(None, None, TENANT, base_dir) as api:
        task = _done_before(api, instance) or _run_task(api, instance)
        ui.say("")
        _run(["status", *at])
        ui.say(_closing(api, instance, task, base_dir))


def _instance(base: Path | None) -> "Instance":
    from sfp_server.ops.instance import Instance, base_dir

    return Instance(base_dir(base, os.environ), TENANT)


def _rehearse(commands: Sequence[Sequence[str]], at: Sequence[str]) -> None:
    for command in commands:
        ui.say(f"sfp server {' '.join(command)}")
    ui.say(
        f"sfp server task submit {' '.join(at)} --type sf --data '{json.dumps(_sf('git://127.0.0.1:PORT/…'))}' --watch"
    )
    ui.say(f"sfp server status {' '.join(at)}")


def _run(command: Sequence[str], quiet: bool = False) -> None:
    """Another of our commands, as a person would type it; its errors are shown by itself."""
    from contextlib import redirect_stdout
    from io import StringIO

    from sfp_server.cli import run

    with redirect_stdout(StringIO() if quiet else sys.stdout):
        code = run(command)
    if code:
        raise typer.Exit(code)


def _done_before(api: "Api", instance: "Instance") -> "TaskStatus | None":
    """The task of an earlier demo, where it completed and the server still has it."""
    from sfp_server.client import ApiError

    done = _read(instance.folder / _DONE)
    if done.get("schema") != _SCHEMA or (done.get("type") == "ping" and _cli_is_here(instance)):
        return None
    try:
        task = api.status(str(done["task"]))
    except (ApiError, KeyError):
        return None
    if task.status != "completed":
        return None
    ui.say(f"{task.operation_id}  the task of an earlier demo, completed. Nothing was changed.")
    return task


def _run_task(api: "Api", instance: "Instance") -> "TaskStatus":
    from sfp_server.ops import files, sample

    if _cli_is_here(instance):
        with sample.offered() as repository:
            task = _watched(api, "sf", _sf(repository))
    else:
        ui.say(_NO_CLI)
        task = _watched(api, "ping", {"echo": "hello"})
    done = {"schema": _SCHEMA, "task": task.operation_id, "type": task.type}
    files.replace(instance.folder / _DONE, json.dumps(done).encode() + b"\n")
    return task


def _watched(api: "Api", type: str, data: Any) -> "TaskStatus":
    from sfp_server.cli import watching

    id = api.submit(type, data).operation_id
    watching.watch(api, id)
    task = api.status(id)
    if task.status != "completed":
        raise typer.Exit(1)
    return task


def _sf(repository: str) -> dict[str, Any]:
    from sfp_server.ops.sample import BRANCH

    return {"repository": repository, "ref": BRANCH, "args": CONVERT}


def _cli_is_here(instance: "Instance") -> bool:
    folders = os.pathsep.join([str(instance.base / "toolchain" / "bin"), os.environ.get("PATH", os.defpath)])
    return shutil.which("sf", path=folders) is not None


def _closing(api: "Api", instance: "Instance", task: "TaskStatus", base: Path | None) -> str:
    next_commands = [
        *_activation(),
        ui.naming(f"sfp server task result {task.operation_id} --output out/", instance, base),
        ui.naming('sfp server task submit --type ping --data \'{"echo": "hello"}\' --watch', instance, base),
        ui.naming("sfp server logs -f", instance, base),
        ui.naming("sfp server stop", instance, base),
    ]
    return _CLOSING.format(url=api.url, secrets=instance.secrets_file, first="\n         ".join(next_commands))


def _activation() -> list[str]:
    """What makes `sfp-server` a command to type, where it is none yet."""
    activate = Path(sys.prefix) / "bin" / "activate"
    return [f". {activate}"] if shutil.which("sfp-server") is None and activate.exists() else []


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
