"""``ciris-registry events``."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ciris_registry.cli.shown_text import printable
from ciris_registry.cli.target import LIMIT, Namespace, Target, Url
from ciris_registry.errors import StoreUnavailableError
from ciris_registry.names import service_type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.cli.event_tail import EventTail
    from ciris_registry.store import Event, Store

_AGAIN = 1.0
"""Seconds until a follower that found Redis away looks again."""


def events(
    context: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")
    ] = False,
    service_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only this service type.")
    ] = None,
    last: Annotated[
        int, typer.Option("--last", "-n", min=0, max=100_000, help="How many of the newest.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Show what changed, by whom and why, in the order of time."""
    from ciris_registry.cli import event_lines  # noqa: PLC0415 # only here

    show = event_lines.as_json if as_json else event_lines.as_line

    def tell(event: Event) -> None:
        typer.echo(show(event))

    async def work(store: Store, _: str) -> None:
        from ciris_registry.cli.event_tail import EventTail  # noqa: PLC0415 # only here

        tail = EventTail(store, None if service_type is None else service_type_name(service_type))
        newest = await tail.last(last)
        for event in newest:
            tell(event)
        for damaged, problem in tail.damaged.items():
            _note(f"the events of {damaged} cannot be read: {problem}")
        if follow:
            await _follow(tail, tell)
        if not newest and not as_json:
            _note("nothing has happened here yet")

    target = Target.of(context, url, namespace)
    with contextlib.suppress(KeyboardInterrupt):
        target.run(work, None if follow else LIMIT)


async def _follow(tail: EventTail, tell: Callable[[Event], None]) -> NoReturn:
    """Without end; that Redis is away is said once."""
    away = False
    while True:
        try:
            async for event in tail.follow():
                away = False
                tell(event)
        except StoreUnavailableError as error:
            if not away:
                _note(f"{str(error).rstrip('.')}; trying again")
            away = True
            await asyncio.sleep(_AGAIN)


def _note(text: str) -> None:
    typer.echo(printable(f"ciris-registry: {text}"), err=True)
