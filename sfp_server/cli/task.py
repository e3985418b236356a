"""`task`: ask for work, follow it, fetch what it left."""

import json as _json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfp_server.cli import connection, ui
from sfp_server.errors import SfpError, UsageError

if TYPE_CHECKING:
    from sfp_server.client import Api, TaskResult

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Submit tasks, follow them, fetch their results.")

_UNITS = {"s": 1, "m": 60, "h": 3600}

ID = Annotated[str, typer.Argument(metavar="ID", help="The task.", show_default=False)]


@app.command()
def submit(
    type: Annotated[str, typer.Option("--type", metavar="TYPE", help="What to run: sf, command or ping.")],
    data: Annotated[str, typer.Option("--data", metavar="JSON|@FILE|@-", help="What to run it with.")] = "{}",
    priority: Annotated[str, typer.Option(metavar="CLASS", help="critical, normal or batch.")] = "normal",
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="What one attempt may take: 90s, 15m, 2h.")
    ] = None,
    attempts: Annotated[int | None, typer.Option(metavar="N", min=1, max=10, help="How often to try.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The same key again gives the same task.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow it to its end; exit code 1 unless it completes.")
    ] = False,
    url: connection.URL = None,
    token: connection.TOKEN = None,
    tenant: connection.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    dry_run: ui.DRY_RUN = False,
    json: ui.JSON = False,
) -> None:
    """Ask for a task."""
    content, seconds = _data(data), _seconds(timeout)
    with connection.connect(url, token, tenant, base_dir) as api:
        if dry_run:
            return connection.would(api, "POST", "/tasks", {"type": type, "data": content, "priority": priority})
        id = api.submit(
            type, content, priority=priority, timeout=seconds, attempts=attempts, idempotency_key=idempotency_key
        ).operation_id
        _conclude(api, id, watch, json)


@app.command()
def status(
    id: ID,
    url: connection.URL = None,
    token: connection.TOKEN = None,
    tenant: connection.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    json: ui.JSON = False,
) -> None:
    """Show how far a task is."""
    from sfp_server.cli import watching
    from sfp_server.client import codec

    with connection.connect(url, token, tenant, base_dir) as api:
        found = api.status(id)
    if json:
        return ui.document("task", codec.body(found))
    ui.say("\n".join(watching.describe(found)))


@app.command()
def logs(
    id: ID,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the task has finished.")] = False,
    url: connection.URL = None,
    token: connection.TOKEN = None,
    tenant: connection.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    json: ui.JSON = False,
) -> None:
    """Show what a task wrote."""
    from sfp_server.cli import watching
    from sfp_server.client import codec

    if follow and json:
        raise UsageError("--json prints one document and --follow has no end.", "Leave one out.")
    with connection.connect(url, token, tenant, base_dir) as api:
        if follow:
            return watching.follow_logs(api, id)
        lines = list(api.logs(id))
    if json:
        return ui.document("task-logs", {"items": codec.body(lines), "next": None})
    for line in lines:
        ui.say(watching.plain(line.text))


@app.command()
def result(
    id: ID,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Bring the files into this folder.")
    ] = None,
    url: connection.URL = None,
    token: connection.TOKEN = None,
    tenant: connection.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    json: ui.JSON = False,
) -> None:
    """Show what a task left, or bring its files here."""
    from sfp_server.cli import watching
    from sfp_server.client import codec

    with connection.connect(url, token, tenant, base_dir) as api:
        left = api.result(id)
        if output is not None:
            _bring(api, left, output, err=json)
    if json:
        return ui.document("task-result", codec.body(left))
    ui.say(
        _json.dumps(left.result, indent=2, ensure_ascii=False) if left.result is not None else f"{id}  {left.status}"
    )
    if left.files and output is None:
        ui.table([(watching.plain(file.name), watching.size(file.size)) for file in left.files], ("FILE", "SIZE"))
        ui.say(f"Bring them here: sfp server task result {id} --output DIR")


@app.command()
def cancel(
    id: ID,
    url: connection.URL = None,
    token: connection.TOKEN = None,
    tenant: connection.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    dry_run: ui.DRY_RUN = False,
    json: ui.JSON = False,
) -> None:
    """End a task that waits or runs."""
    from sfp_server.client import codec

    with connection.connect(url, token, tenant, base_dir) as api:
        if dry_run:
            return connection.would(api, "DELETE", f"/tasks/{id}")
        now = api.cancel(id)
    if json:
        return ui.document("task", codec.body(now))
    ui.say(f"{id}  {now.status}" if now.finished else f"{id}  asked to end; it stops in a moment")


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(metavar="STATUS", help="Only those: pending, active, failed …")] = None,
    type: Annotated[str | None, typer.Option(metavar="TYPE", help="Only those of a type.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100, help="How many.")] = 20,
    cursor: Annotated[str | None, typer.Option(metavar="CURSOR", help="Where an earlier list ended.")] = None,
    url: connection.URL = None,
    token: connection.TOKEN = None,
    tenant: connection.TENANT = None,
    base_dir: ui.BASE_DIR = None,
    json: ui.JSON = False,
) -> None:
    """List tasks, the newest first."""
    from sfp_server.cli import watching
    from sfp_server.client import codec

    with connection.connect(url, token, tenant, base_dir) as api:
        page = api.tasks(status=status, type=type, limit=limit, cursor=cursor)
    if json:
        return ui.document("tasks", codec.body(page))
    ui.table([watching.row(task) for task in page.items], watching.HEADERS)
    if page.next:
        ui.say(f"More: sfp server task list --cursor {page.next}")


def _conclude(api: "Api", id: str, watch: bool, json: bool) -> None:
    """What is said about a task that was just submitted; after a watch its outcome is the exit code."""
    from sfp_server.cli import watching
    from sfp_server.client import codec

    if watch:
        watching.watch(api, id, err=json)
    now = api.status(id)
    if json:
        ui.document("task", codec.body(now))
    elif not watch:
        ui.say(f"{id}  {now.priority}  queued    sfp server task logs {id} -f")
    if watch and now.status != "completed":
        raise typer.Exit(SfpError.exit_code)


def _bring(api: "Api", left: "TaskResult", folder: Path, err: bool) -> None:
    from sfp_server.cli import watching
    from sfp_server.client import save

    for file in left.files:
        path = save(file, folder, base=api.url)
        ui.say(f"Wrote {watching.plain(str(path))}  {watching.size(file.size)}", err=err)
    if not left.files:
        ui.say("It left no files.", err=err)


def _data(given: str) -> Any:
    """The JSON of `--data`: on the command line, in a file, or on standard input."""
    text = sys.stdin.read() if given == "@-" else _content(Path(given[1:])) if given.startswith("@") else given
    try:
        return _json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"--data is not JSON: {error}.", "Quote it for the shell, or name a file: --data @FILE"
        ) from None


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"--data cannot be read from {path}: {reason}.") from None


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        return float(number) * _UNITS[unit]
    except ValueError:
        raise UsageError(f'--timeout "{text}" is not a time.', "Write it as 90s, 15m or 2h.") from None
