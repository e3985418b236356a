"""How commands speak and ask: lines, tables, JSON documents, questions, the progress of steps, and common options.

Colour stands only on a terminal and never carries a meaning alone; rich is loaded only where something moves.
"""

import atexit
import json as _json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TextIO

import typer

from sfp_server.errors import SfpError, UsageError

if TYPE_CHECKING:
    from sfp_server.ops.instance import Instance

TENANT = Annotated[
    str | None, typer.Option("--tenant", "-t", metavar="NAME", help="The instance; not needed where there is one.")
]
BASE_DIR = Annotated[
    Path | None,
    typer.Option("--base-dir", metavar="DIR", help="Where instances lie (else SFP_SERVER_HOME, else ~/.sfp-server)."),
]
JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document; everything else goes to standard error.")]
DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")]
YES = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_STEP_WIDTH = 11
_TEXT_WIDTH = 58
_SECONDS_WIDTH = 8
_QUIET = 1.0  # seconds that a step may take before a line says that it runs


class Reporter(Protocol):
    """Where the progress of steps goes."""

    def begin(self, step: str) -> None:
        """A step starts; whatever was begun before has ended."""
        ...

    def done(self, step: str, text: str, seconds: float) -> None:
        """It ended well; `text` says with what."""
        ...

    def failed(self, step: str, text: str) -> None:
        """It did not; `text` says why, in a few words."""
        ...

    def note(self, text: str) -> None:
        """One more line about the step that runs, or ran last."""
        ...


def instance(tenant: str | None, base: Path | None) -> "Instance":
    """The instance that `--tenant` and `--base-dir` mean."""
    from sfp_server.ops.instance import base_dir, find

    return find(base_dir(base, os.environ), tenant)


def naming(command: str, instance: "Instance", base: Path | None) -> str:
    """A command to type, meaning this instance: with its name where there are several, with the base folder where it
    was given."""
    from sfp_server.ops.instance import tenants

    several = set(tenants(instance.base)) - {instance.tenant}
    named = f" --tenant {instance.tenant}" if several else ""
    return f"{command}{named}{f' --base-dir {base}' if base else ''}"


def say(text: str, err: bool = False) -> None:
    """Print a line; on standard error where a JSON document takes standard output."""
    typer.echo(text, err=err)


def difference(lines: Iterable[str], err: bool = False) -> None:
    """Print a unified difference, in its usual colours on a terminal."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    stream = sys.stderr if err else sys.stdout
    for line in lines:
        colour = colours.get(line[:1])
        typer.echo(paint(line, colour, stream) if colour else line, err=err)


def document(name: str, body: Mapping[str, Any], version: int = 1) -> None:
    """Print the one JSON document of a command. Its schema is `sfp.<name>/<version>`, with the document's own version
    in it, for a body may have another `version`. A list's body is `{items, next}`."""
    typer.echo(_json.dumps({"schema": f"sfp.{name}/{version}", **body}, indent=2, ensure_ascii=False))


def table(rows: Iterable[Sequence[object]], headers: Sequence[str]) -> None:
    """Print rows under their headers, in columns as wide as what stands in them; headers stand alone without rows."""
    lines = [tuple(headers), *(tuple("" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def interactive() -> bool:
    """Whether a person can be asked: both ends are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def confirm(question: str, yes: bool) -> None:
    """Go on only after a yes: from the flag, or from the terminal. Anything else is an error that says so."""
    if yes:
        return
    if not interactive():
        raise UsageError(f"{question} Nobody can be asked here, so nothing was changed.", "Add --yes to go on.")
    if not typer.confirm(question):
        raise SfpError("not confirmed, nothing was changed.")


def ask(question: str, refusal: Callable[[str], str]) -> str:
    """An answer from the terminal; asked again while `refusal` says what is wrong with it."""
    while True:
        answer = str(typer.prompt(question, default="", show_default=False, err=True)).strip()
        wrong = refusal(answer)
        if not wrong:
            return answer
        typer.echo(wrong, err=True)


def place(path: Path) -> str:
    """A path as a person would type it: `~` for the home folder."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) and home != Path("/") else str(path)


def paint(text: str, colour: str, stream: TextIO) -> str:
    """The text in a colour where the stream is a terminal that wants one."""
    return typer.style(text, fg=colour) if _coloured(stream) else text


def duration(seconds: float) -> str:
    """`0.6 s`, `21.3 s`, `2 min 5 s`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    return f"{round(seconds) // 60} min {round(seconds) % 60} s"


def reporter(json: bool = False) -> Reporter:
    """The progress of steps: one line for each that is done. On a terminal the running one is seen to move."""
    stream = sys.stderr if json else sys.stdout
    return _Moving(stream) if _alive(stream) else _Plain(stream)


def _alive(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _coloured(stream: TextIO) -> bool:
    return _alive(stream) and not os.environ.get("NO_COLOR")


def _line(mark: str, step: str, text: str, seconds: float | None = None) -> str:
    took = "" if seconds is None else duration(seconds).rjust(_SECONDS_WIDTH)
    return f"  {mark} {step:<{_STEP_WIDTH - 1}} {text:<{_TEXT_WIDTH}} {took}".rstrip()


class _Plain:
    """Lines only: one for each step that is done, and one before it where it takes longer than a second."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting: threading.Timer | None = None

    def begin(self, step: str) -> None:
        self._settle()
        self._waiting = threading.Timer(_QUIET, self._print, [_line("…", step, "")])
        self._waiting.daemon = True
        self._waiting.start()

    def done(self, step: str, text: str, seconds: float) -> None:
        self._settle()
        self._print(_line(paint("✓", "green", self._stream), step, text, seconds))

    def failed(self, step: str, text: str) -> None:
        self._settle()
        self._print(_line(paint("✗", "red", self._stream), step, text))

    def note(self, text: str) -> None:
        self._print(f"      {text}")

    def _settle(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _print(self, line: str) -> None:
        typer.echo(line, file=self._stream)


class _Moving(_Plain):
    """The same lines on a terminal, below them the step that runs, with the time it has taken so far."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._live: Any = None

    def begin(self, step: str) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._settle()
        atexit.register(self._settle)  # whatever ends the program, the cursor comes back
        console = Console(file=self._stream, highlight=False, no_color=not _coloured(self._stream))
        columns = (SpinnerColumn("line"), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._live = Progress("", *columns, console=console, transient=True, redirect_stdout=False)
        self._live.add_task(step.ljust(_STEP_WIDTH), total=None)
        self._live.start()

    def _settle(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print(self, line: str) -> None:
        if self._live is None:
            super()._print(line)
        else:
            from rich.text import Text

            self._live.console.print(Text.from_ansi(line), soft_wrap=True)
