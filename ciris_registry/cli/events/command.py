"""``ciris-registry events``."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ciris_registry.cli.formatting import printable
from ciris_registry.cli.target import LIMIT, Namespace, Target, Url
from ciris_registry.errors import StoreUnavailableError
from ciris_registry.names import service_type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.cli.events.reader import EventReader
    from ciris_registry.store import Event, Stores

_RETRY_INTERVAL = 1.0
"""Seconds between two attempts while Redis is lost."""


def events(
    context: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Continue with new events, until Ctrl-C.")
    ] = False,
    service_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only this service type.")
    ] = None,
    last: Annotated[
        int, typer.Option("--last", "-n", min=0, max=100_000, help="How many of the newest events.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object per line.")] = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Show what changed, by which process or operator and why, in order of time."""
    from ciris_registry.cli.events import lines  # noqa: PLC0415 # `lua` and `demo` do not need it

    show = lines.as_json if as_json else lines.as_line

    def print_event(event: Event) -> None:
        typer.echo(show(event))

    async def work(stores: Stores, _: str) -> None:
        from ciris_registry.cli.events.reader import EventReader  # noqa: PLC0415 # `lua` and `demo` do not need it

        reader = EventReader(
            stores, None if service_type is None else service_type_name(service_type)
        )
        newest = await reader.last(last)
        for event in newest:
            print_event(event)
        for damaged, problem in reader.damaged.items():
            _note(f"the events of {damaged} cannot be read: {problem}")
        if follow:
            await _follow(reader, print_event)
        if not newest and not as_json:
            _note("no events yet")

    target = Target.of(context, url, namespace)
    with contextlib.suppress(KeyboardInterrupt):
        target.run(work, None if follow else LIMIT)


async def _follow(reader: EventReader, print_event: Callable[[Event], None]) -> NoReturn:
    """Print events without end; an outage of Redis is noted once."""
    lost = False
    while True:
        try:
            async for event in reader.follow():
                lost = False
                print_event(event)
        except StoreUnavailableError as error:
            if not lost:
                _note(f"{str(error).rstrip('.')}; retrying")
            lost = True
            await asyncio.sleep(_RETRY_INTERVAL)


def _note(text: str) -> None:
    typer.echo(printable(f"ciris-registry: {text}"), err=True)
