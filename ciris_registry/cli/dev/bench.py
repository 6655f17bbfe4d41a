"""``ciris-registry dev bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ciris_registry.bench import QUICK, print_results, run
from ciris_registry.cli.dev.check import exit_if_missed
from ciris_registry.cli.target import Target, Url, fail
from ciris_registry.errors import RegistryError


def bench(
    context: typer.Context,
    processes: Annotated[int, typer.Option(help="Processes of the fleet, 1 to 19.")] = 4,
    quick: Annotated[bool, typer.Option("--quick", help=f"The same as --scale {QUICK}.")] = False,
    scale: Annotated[
        float | None, typer.Option(metavar="SHARE", help="How much to measure; 1 is a full run.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all figures as one JSON object.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw a picture too: .png, .svg or .pdf."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if a target is missed.")
    ] = False,
    url: Url = None,
) -> None:
    """Measure what the registry costs, on an embedded server or on one that you name.

    It writes into a namespace of its own, which expires within an hour. On a shared server, the
    commands and memory of other clients are counted too.
    """
    if quick and scale is not None:
        fail("--quick is a scale; give one of --quick and --scale")
    size = scale if scale is not None else QUICK if quick else 1.0
    try:
        results = run(Target.of(context, url, None).url, processes, size, plot)
    except RegistryError as error:
        fail(error)
    print_results(results, as_json=as_json)
    exit_if_missed(results, check=check)
