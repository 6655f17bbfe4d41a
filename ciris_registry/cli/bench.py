"""``ciris-registry bench``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ciris_registry.bench import QUICK, run
from ciris_registry.cli.target import Target, Url, fail
from ciris_registry.errors import RegistryError

if TYPE_CHECKING:
    from ciris_registry.bench.results import Results

_PIPED_WIDTH: Final = 200
"""Columns where no terminal says how many there are."""

MISSED: Final = 1
"""The exit code of ``--check`` if a target is missed."""


def bench(
    context: typer.Context,
    processes: Annotated[int, typer.Option(help="Processes of the fleet, 1 to 19.")] = 4,
    quick: Annotated[bool, typer.Option("--quick", help=f"The same as --scale {QUICK}.")] = False,
    scale: Annotated[
        float | None, typer.Option(metavar="SHARE", help="How much to measure; 1 is a full run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw a picture too: .png, .svg or .pdf."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if a target is missed.")
    ] = False,
    url: Url = None,
) -> None:
    """Measure what the registry costs, against a server of its own or one that you name.

    It writes into a namespace of its own, which expires within an hour. On a server that others
    use, their commands and their memory are counted too.
    """
    where = Target.of(context, url, None).url
    try:
        # The other commands need none of these.
        from ciris_registry.bench.plan import BenchError, Plan  # noqa: PLC0415

        if quick and scale is not None:
            raise BenchError("--quick is a scale; give one of --quick and --scale")
        size = scale if scale is not None else QUICK if quick else 1.0
        plan = Plan.checked(where, processes, size)
        if plot is not None:
            from ciris_registry.bench.picture import check_picture, draw  # noqa: PLC0415

            check_picture(plot)
            results = run(plan)
            draw(results, plot)
        else:
            results = run(plan)
    except RegistryError as error:
        fail(error)
    print_results(results, as_json=as_json)
    if check and not results.all_met:
        raise typer.Exit(MISSED)


def print_results(results: Results, *, as_json: bool) -> None:
    """On standard output, as a table or as JSON."""
    if as_json:
        typer.echo(json.dumps(results.as_dict(), indent=2))
        return
    from rich.console import Console  # noqa: PLC0415 # JSON needs none of it

    from ciris_registry.bench.table import render  # noqa: PLC0415 # as above

    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if known else _PIPED_WIDTH, highlight=False)
    for part in render(results):
        console.print(part)
