"""``ciris-registry status``."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ciris_registry.cli.target import Namespace, Target, Url
from ciris_registry.names import service_type_name

if TYPE_CHECKING:
    from ciris_registry.cli.reading import Status
    from ciris_registry.store import Stores

_PIPED_WIDTH: Final = 200
"""Columns where there is no terminal, so that grep finds whole rows."""


def status(
    context: typer.Context,
    service_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only this service type.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: durations in s, times in ms.")
    ] = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Show providers, their members and their breakers, without changing anything.

    STREAK: failures in a row, and how many open the breaker.

    WINDOW: failed calls and all calls in the breaker's window. OK, FAILED: totals.
    """

    async def gather(stores: Stores, redacted_url: str) -> Status:
        from ciris_registry.cli.reading import read_status  # noqa: PLC0415 # `lua` and `demo` do not need it

        only = None if service_type is None else service_type_name(service_type)
        return await read_status(stores, redacted_url, only)

    found = Target.of(context, url, namespace).run(gather)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        _print(found)


def _print(found: Status) -> None:
    from rich.console import Console  # noqa: PLC0415 # JSON does not need it

    from ciris_registry.cli.status.table import render  # noqa: PLC0415 # as above

    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if known else _PIPED_WIDTH, highlight=False)
    for part in render(found):
        console.print(part)
