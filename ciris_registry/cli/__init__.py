"""The command line: ``ciris-registry``.

Operators look at a fleet's state and override breakers; ``dev`` measures the registry itself.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from ciris_registry.cli import breaker, dev, events, lua, status
from ciris_registry.cli.target import Namespace, Target, Url
from ciris_registry.version import __version__

app = typer.Typer(
    name="ciris-registry",
    help="Look at a fleet's providers and breakers, and override breakers.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback of rich shows local variables, and with them the URL's password.
    pretty_exceptions_enable=False,
)
app.command("status")(status.status)
app.add_typer(breaker.app, name="breaker")
app.command("events")(events.events)
app.add_typer(lua.app, name="lua")
app.add_typer(dev.app, name="dev")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ciris-registry {__version__}")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    url: Url = None,
    namespace: Namespace = None,
    version: Annotated[  # noqa: ARG001 # its callback shows it
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Look at a fleet's providers and breakers, and override breakers."""
    context.obj = Target(url, namespace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Without Unicode a terminal shows escapes, instead of an error ending the command.
            stream.reconfigure(errors="backslashreplace")


@app.command()
def demo(
    agents: Annotated[int, typer.Option(help="Agent processes, 2 to 16.")] = 4,
    seconds: Annotated[
        float, typer.Option(help="How long the agents send prompts: 12 to 600 s.")
    ] = 15.0,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="One prompt a line; by default the package's own.",
        ),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Print lines, not a live table.")] = False,
    hold: Annotated[bool, typer.Option("--hold", help="Continue until Ctrl-C.")] = False,
) -> None:
    """Run a fleet of real processes on an embedded server, and let its providers fail in turn."""
    from ciris_registry.demo import run  # noqa: PLC0415 # other commands do not need it

    raise typer.Exit(run(agents=agents, seconds=seconds, prompts=prompts, plain=plain, hold=hold))
