"""``ciris-registry soak``."""

from __future__ import annotations

from typing import Annotated

import typer

from ciris_registry.cli.bench import MISSED, print_results
from ciris_registry.cli.target import fail
from ciris_registry.errors import RegistryError


def soak(
    calls: Annotated[int, typer.Option(help="Resolves and outcomes together.")] = 2_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if anything has grown.")
    ] = False,
) -> None:
    """Make millions of calls, and compare what is held at the end with what was after 10 %.

    On a server of its own, where everything expires in seconds that takes hours otherwise; in one
    process, with registrations that come and go, failures, cooldowns and operators' words.
    """
    try:
        from ciris_registry.bench.soak import run_soak  # noqa: PLC0415 # no other command needs it

        results = run_soak(calls)
    except RegistryError as error:
        fail(error)
    print_results(results, as_json=as_json)
    if check and not results.all_met:
        raise typer.Exit(MISSED)
