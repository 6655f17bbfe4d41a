"""``ciris-registry breaker``: an operator's word over a breaker, for the whole fleet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from ciris_registry.circuit_breaker import ReplyCode
from ciris_registry.cli.durations import parse_duration
from ciris_registry.cli.shown_text import printable
from ciris_registry.cli.target import Namespace, Target, Url, fail
from ciris_registry.names import provider_name, service_type_name

if TYPE_CHECKING:
    from ciris_registry.cli.breaker_status import BreakerStatus
    from ciris_registry.cli.fleet_status import TypeStatus
    from ciris_registry.store import BreakerReply, Store

app = typer.Typer(
    help="Force a breaker open or closed, take that back, or reset it, for the whole fleet.",
    no_args_is_help=True,
)


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


ServiceType = Annotated[str, typer.Argument(metavar="SERVICE_TYPE", help="Such as llm.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The provider's name.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; everybody will read it.")]
For = Annotated[
    int | None,
    typer.Option(
        "--for",
        parser=_duration,
        metavar="TIME",
        help="90s, 10m, 2h, 1d or 1h30m; without it, until it is cleared.",
    ),
]


@app.command("open")
def open_(
    context: typer.Context,
    service_type: ServiceType,
    name: Name,
    reason: Reason = "",
    length: For = None,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Refuse every call of the fleet to this provider."""
    target = Target.of(context, url, namespace)
    _say(
        target,
        service_type,
        name,
        lambda store: store.breakers.override(
            service_type, name, "open", reason, store.process, length or 0
        ),
    )


@app.command()
def close(
    context: typer.Context,
    service_type: ServiceType,
    name: Name,
    reason: Reason = "",
    length: For = None,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Let every call of the fleet to this provider through, whatever happens."""
    target = Target.of(context, url, namespace)
    _say(
        target,
        service_type,
        name,
        lambda store: store.breakers.override(
            service_type, name, "closed", reason, store.process, length or 0
        ),
    )


@app.command()
def clear(
    context: typer.Context,
    service_type: ServiceType,
    name: Name,
    reason: Reason = "",
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Take back open or close: what the breaker had decided itself stands again."""
    target = Target.of(context, url, namespace)
    _say(
        target,
        service_type,
        name,
        lambda store: store.breakers.override(service_type, name, "", reason, store.process, 0),
    )


@app.command()
def reset(
    context: typer.Context,
    service_type: ServiceType,
    name: Name,
    reason: Reason = "",
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Close it and forget its failures, its cooldown and what was forced; settings stay."""
    target = Target.of(context, url, namespace)
    _say(
        target,
        service_type,
        name,
        lambda store: store.breakers.reset(service_type, name, reason, store.process),
    )


def _say(
    target: Target,
    service_type: str,
    name: str,
    word: Callable[[Store], Awaitable[BreakerReply]],
) -> None:
    """Say the word, and print in one line what was and what is."""

    async def work(store: Store, _: str) -> str:
        from ciris_registry.cli.fleet_status import read_type  # noqa: PLC0415 # lua and demo need none of it

        kind = service_type_name(service_type)
        before = await read_type(store, kind, [provider_name(name)])
        verdict = (await word(store)).verdict
        if verdict is ReplyCode.MISSING:
            fail(_missing(before, name))
        after = await read_type(store, kind, [name])
        return _line(before.breaker(name), after.breaker(name), verdict)

    changed = target.run(work)
    typer.echo(f"{service_type} {name}: {changed}")


def _line(before: BreakerStatus | None, after: BreakerStatus | None, verdict: ReplyCode) -> str:
    was, now = before.in_words if before else "nothing", after.in_words if after else "nothing"
    if verdict is ReplyCode.UNCHANGED:
        return f"{now}; there was nothing to clear"
    if after is not None and after.override is not None:
        now += f", by {after.override.actor}"
        now += f": {after.override.reason}" if after.override.reason else ""
    return printable(f"{was} -> {now}")


def _missing(status: TypeStatus, name: str) -> str:
    for damage in status.damaged:
        if damage.record == f"breaker {name}":
            return (
                f"the breaker of {status.service_type} {name} is damaged ({damage.problem}); "
                "delete its key with redis-cli, and whoever registers the provider writes it anew"
            )
    known = ", ".join(one.name for one in status.breakers) or "none"
    return f"there is no breaker of {status.service_type} {name}; those there are: {known}"
