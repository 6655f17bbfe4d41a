"""``ciris-registry dev soak``."""

from __future__ import annotations

from typing import Annotated

import typer

from ciris_registry.bench import print_results, run_soak
from ciris_registry.cli.dev.check import exit_if_missed
from ciris_registry.cli.target import fail
from ciris_registry.errors import RegistryError


def soak(
    calls: Annotated[int, typer.Option(help="Resolves and outcomes together.")] = 2_000_000,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all figures as one JSON object.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if anything has grown.")
    ] = False,
) -> None:
    """Make millions of calls, and compare memory and keys at the end with those after 10 %.

    It runs in one process on an embedded server, with registrations that come and go, failures,
    cooldowns and overrides. What otherwise takes hours to expire expires in seconds.
    """
    try:
        results = run_soak(calls)
    except RegistryError as error:
        fail(error)
    print_results(results, as_json=as_json)
    exit_if_missed(results, check=check)
