"""``ciris-registry lua``: the scripts as they are sent to Redis."""

from __future__ import annotations

from typing import Annotated

import typer

from ciris_registry.cli.target import fail
from ciris_registry.errors import RegistryError
from ciris_registry.store import load_scripts

app = typer.Typer(help="Read the Lua scripts as they are sent to Redis.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """List every script with its purpose."""
    try:
        scripts = load_scripts()
    except RegistryError as error:
        fail(error)
    widest = max(map(len, scripts), default=0)
    for script in scripts.values():
        typer.echo(f"{script.name:{widest}}  {script.purpose}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As in `lua list`.")],
    numbers: Annotated[bool, typer.Option("--numbers", "-n", help="Number the lines.")] = False,
) -> None:
    """Print one script in full; Redis' errors refer to line numbers of this text."""
    try:
        script = load_scripts().get(name)
    except RegistryError as error:
        fail(error)
    if script is None:
        fail(f"no script {name!r}; known scripts: {', '.join(load_scripts())}")
    for number, line in enumerate(script.text.splitlines(), start=1):
        typer.echo(f"{number:4}  {line}" if numbers else line)
