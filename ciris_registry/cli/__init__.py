"""The operator's tools: ``ciris-registry``."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from ciris_registry.cli import bench, breaker, events, lua, soak, status
from ciris_registry.cli.target import Namespace, Target, Url
from ciris_registry.version import __version__

app = typer.Typer(
    name="ciris-registry",
    help="Look at a fleet's service registry, and have a word in it.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback of rich shows local variables, and with them the URL's password.
    pretty_exceptions_enable=False,
)
app.command("status")(status.status)
app.add_typer(breaker.app, name="breaker")
app.command("events")(events.events)
app.command("bench")(bench.bench)
app.command("soak")(soak.soak)
app.add_typer(lua.app, name="lua")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ciris-registry {__version__}")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    url: Url = None,
    namespace: Namespace = None,
    version: Annotated[  # noqa: ARG001 # its callback does it all
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Look at a fleet's service registry, and have a word in it."""
    context.obj = Target(url, namespace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal without Unicode shows escapes instead of ending the command.
            stream.reconfigure(errors="backslashreplace")


@app.command()
def demo(
    agents: Annotated[int, typer.Option(help="Agent processes.")] = 4,
    seconds: Annotated[float, typer.Option(help="How long they send prompts.")] = 15.0,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="One prompt a line; some come with the package.",
        ),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live table.")] = False,
    hold: Annotated[bool, typer.Option("--hold", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Run a fleet of real processes on its own server, and let its providers fail in turn."""
    from ciris_registry.demo import run  # noqa: PLC0415 # no other command needs it

    raise typer.Exit(run(agents=agents, seconds=seconds, prompts=prompts, plain=plain, hold=hold))
