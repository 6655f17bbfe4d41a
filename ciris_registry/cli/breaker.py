"""``ciris-registry breaker``: an operator overrides or resets a breaker, for the whole fleet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from ciris_registry.circuit_breaker import ReplyCode
from ciris_registry.cli.formatting import parse_duration, printable
from ciris_registry.cli.target import Namespace, Target, Url, fail
from ciris_registry.names import provider_name, service_type_name

if TYPE_CHECKING:
    from ciris_registry.cli.reading import BreakerStatus, TypeStatus
    from ciris_registry.store import BreakerReply, Store, Stores

    Change = Callable[[Store, str, str], Awaitable[BreakerReply]]

app = typer.Typer(
    help="Force a breaker open or closed, clear that override, or reset it, for the whole fleet.",
    no_args_is_help=True,
)


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


ServiceType = Annotated[str, typer.Argument(metavar="SERVICE_TYPE", help="Such as llm.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The provider's name.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; shown in status and events.")]
For = Annotated[
    int | None,
    typer.Option(
        "--for",
        parser=_duration,
        metavar="TIME",
        help="90s, 10m, 2h, 1d or 1h30m; without it, until it is cleared.",
    ),
]


@app.command()
def force_open(
    context: typer.Context,
    service_type: ServiceType,
    name: Name,
    reason: Reason = "",
    length: For = None,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Refuse every call to this provider."""
    change = _override("open", reason, length)
    _run(Target.of(context, url, namespace), service_type, name, change)


@app.command()
def force_close(
    context: typer.Context,
    service_type: ServiceType,
    name: Name,
    reason: Reason = "",
    length: For = None,
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Allow every call to this provider, however many fail."""
    change = _override("closed", reason, length)
    _run(Target.of(context, url, namespace), service_type, name, change)


@app.command()
def clear_override(
    context: typer.Context,
    service_type: ServiceType,
    name: Name,
    reason: Reason = "",
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """End force-open or force-close: the breaker's own state applies again."""
    change = _override("", reason, None)
    _run(Target.of(context, url, namespace), service_type, name, change)


@app.command()
def reset(
    context: typer.Context,
    service_type: ServiceType,
    name: Name,
    reason: Reason = "",
    url: Url = None,
    namespace: Namespace = None,
) -> None:
    """Close the breaker and clear its failures, cooldown and override; settings stay."""

    def change(store: Store, service_type: str, name: str) -> Awaitable[BreakerReply]:
        return store.breakers.reset(service_type, name, reason, store.process)

    _run(Target.of(context, url, namespace), service_type, name, change)


def _override(state: str, reason: str, length: int | None) -> Change:
    """A change that forces this state, for so many milliseconds or until it is cleared."""

    def change(store: Store, service_type: str, name: str) -> Awaitable[BreakerReply]:
        return store.breakers.override(
            service_type, name, state, reason, store.process, length or 0
        )

    return change


def _run(target: Target, service_type: str, name: str, change: Change) -> None:
    """Apply the change, and print the breaker's state before and after it in one line."""

    async def work(stores: Stores, _: str) -> str:
        from ciris_registry.cli.reading import read_type  # noqa: PLC0415 # `lua` and `demo` do not need it

        kind = service_type_name(service_type)
        store = await stores.of(kind)
        before = await read_type(store, kind, [provider_name(name)])
        code = (await change(store, service_type, name)).code
        if code is ReplyCode.MISSING:
            fail(_missing(before, name))
        after = await read_type(store, kind, [name])
        return _line(before.breaker(name), after.breaker(name), code)

    changed = target.run(work)
    typer.echo(f"{service_type} {name}: {changed}")


def _line(before: BreakerStatus | None, after: BreakerStatus | None, code: ReplyCode) -> str:
    was, now = before.in_words if before else "nothing", after.in_words if after else "nothing"
    if code is ReplyCode.UNCHANGED:
        return f"{now}; there is no override to clear"
    if after is not None and after.override is not None:
        now += f", by {after.override.actor}"
        now += f": {after.override.reason}" if after.override.reason else ""
    return printable(f"{was} -> {now}")


def _missing(status: TypeStatus, name: str) -> str:
    for damage in status.damaged:
        if damage.record == f"breaker {name}":
            return (
                f"the breaker of {status.service_type} {name} is damaged ({damage.problem}); "
                "delete its key with redis-cli; registering the provider writes a new one"
            )
    known = ", ".join(one.name for one in status.breakers) or "none"
    return f"no breaker of {status.service_type} {name}; known breakers: {known}"
