"""The command line: one command for each file of this folder, and one sentence for what the user can put right."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from monai_tff import __version__
from monai_tff.errors import user_error_in

COMMANDS = (
    "demo",
    "simulate",
    "convert-scans",
    "init",
    "datalist",
    "check",
    "prepare",
    "run",
    "baseline",
    "explain",
    "report",
    "predict",
    "export",
    "verify",
    "convert",
    "serve",
)
"""Each in a module of this folder that holds a function of the same name (`_` for `-`), in the order of the help."""

INTERRUPTED = 130
"""Exit code of a process that Ctrl-C ended, as shells report it."""


class CommandGroup(TyperGroup):
    """Runs a command and turns a user error into one line on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that the arguments name.

        Args:
            ctx: typer's context; with `--debug` every error keeps its traceback.

        Raises:
            typer.Exit: with code 1 after a user error, with code 130 after Ctrl-C.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            found = user_error_in(error)
            if found is None or ctx.params.get("debug"):
                raise
            typer.echo("error: " + " ".join(str(found).split()), err=True)
            raise typer.Exit(1) from None


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"monai_tff {__version__}")
        raise typer.Exit


def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Subject-level predictions from 4D fMRI scans with TFF, the Transformer Framework for fMRI, on MONAI."""


def build_app() -> typer.Typer:
    """Assembles the command line; importing a command's module is cheap, running the command imports the rest.

    Returns:
        The typer application with every command of `COMMANDS`.
    """
    app = typer.Typer(
        name="monai_tff",
        cls=CommandGroup,
        callback=_options,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name in COMMANDS:
        function = name.replace("-", "_")
        app.command(name)(getattr(import_module(f"monai_tff.cli.{function}"), function))
    return app


def main() -> None:
    """Runs the command line: the console script `monai_tff` and `python -m monai_tff`."""
    build_app()(prog_name="monai_tff")
