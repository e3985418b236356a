"""The command line: it says and asks, and decides nothing. Only the standard library and typer load with it."""

import sys
from collections.abc import Sequence

import typer

from sfp_server import __version__
from sfp_server.cli.commands import COMMANDS
from sfp_server.cli.lazy import group_of
from sfp_server.errors import INTERRUPTED, SfpError, UsageError

# Typer brings a click of its own or uses the one installed, by its version: this base is the right one in both.
_WrongUsage: type[Exception] = typer.BadParameter.__mro__[1]


def main(arguments: Sequence[str] | None = None) -> None:
    """The script `sfp-server`: run one command and leave with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str], program: str = "sfp-server") -> int:
    """Run one command. Every error is shown here, once: what happened, and what to do next."""
    try:
        outcome = _root()(list(arguments), prog_name=program, standalone_mode=False)
    except SfpError as error:
        return _show(error)
    except _WrongUsage as error:
        return _show(_as_usage(error, program))
    except (KeyboardInterrupt, typer.Abort):
        outcome = INTERRUPTED
    if outcome == INTERRUPTED:  # Typer turns a Ctrl-C into this code, and says nothing
        typer.echo("Interrupted.", err=True)
    return outcome if isinstance(outcome, int) else 0


def _root() -> typer.core.TyperGroup:
    app = typer.Typer(cls=group_of(COMMANDS), rich_markup_mode=None, add_completion=False, no_args_is_help=True)
    app.callback()(_sfp_server)
    return typer.main.get_group(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sfp-server {__version__}")
        raise typer.Exit


def _sfp_server(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_print_version, is_eager=True),
) -> None:
    """Run Salesforce delivery automation on a server of your own."""


def _show(error: SfpError) -> int:
    typer.echo(f"Error: {error.message}", err=True)
    if error.hint:
        typer.echo(error.hint, err=True)
    return error.exit_code


def _as_usage(error: Exception, program: str) -> UsageError:
    context = getattr(error, "ctx", None)
    return UsageError(error.format_message(), f"Try: {context.command_path if context else program} --help")  # type: ignore[attr-defined]
