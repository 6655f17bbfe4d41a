"""The status of a namespace as tables on a terminal.

The registrations of a service type are listed in the order in which a resolve tries them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from ciris_registry.cli.formatting import printable, time_of_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from ciris_registry.cli.reading import (
        BreakerStatus,
        Damage,
        Member,
        RegistrationStatus,
        Status,
        TypeStatus,
    )

_MOST_MEMBERS: Final = 12
"""Processes that are named in one place; the rest is counted."""


def render(status: Status) -> Iterator[RenderableType]:
    """What to print, from top to bottom."""
    for damage in status.damaged:
        yield _damage_line(damage)
    if not status.service_types:
        yield Text(
            f"Nothing is registered in namespace {status.namespace!r} of {status.url}. "
            "If there should be providers, check --url and --namespace."
        )
    for one in status.service_types:
        yield from _type(one, status)


def _type(one: TypeStatus, status: Status) -> Iterator[RenderableType]:
    if not (one.registrations or one.breakers or one.damaged):
        known = ", ".join(status.in_use) or "none"
        yield Text(
            f"Nothing is registered for service type {one.service_type!r} in namespace "
            f"{status.namespace!r}; in use: {known}."
        )
        return
    providers = len({each.name for each in one.registrations})
    processes = {member.process: member for each in one.registrations for member in each.members}
    heading = Text(printable(one.service_type), style="bold")
    counted = f"{_count(providers, 'provider')}, {_count(len(processes), 'process', 'es')}"
    if one.registrations or one.breakers:
        heading.append(f"  {counted}", style="not bold")
    if processes:
        listed = sorted(processes.values(), key=lambda member: (member.host, member.pid or 0))
        heading.append(f": {'; '.join(_shown(listed))}", style="not bold")
    yield heading
    if one.registrations:
        yield _registrations(one.registrations, len(processes))
        yield Text()
    if one.breakers:
        yield _breakers(one.breakers)
    for damage in one.damaged:
        yield _damage_line(damage)
    yield Text()


def _registrations(registrations: Iterable[RegistrationStatus], processes: int) -> Table:
    table = _table("PROVIDER, CAPABILITIES", "HANDLER", "PRIORITY", "STRATEGY", "MEMBERS")
    table.columns[3].no_wrap = True
    for one in registrations:
        name = Text(printable(one.name), style="" if one.members else "dim")
        if one.capabilities:
            name.append(f"\n  {printable(', '.join(one.capabilities))}", style="dim")
        group = f", group {one.priority_group}" if one.priority_group else ""
        table.add_row(
            name,
            Text(printable(one.handler)),
            f"{one.priority.lower()}{group}",
            _strategy(one),
            _members(one.members, processes),
        )
    return table


def _strategy(one: RegistrationStatus) -> str:
    weight = f"\nweight {one.weight}" if one.weight != 1 else ""
    most = f"\nat most {one.max_in_flight} calls" if one.max_in_flight is not None else ""
    return f"{one.strategy.replace('_', ' ')}{weight}{most}"


def _members(members: Sequence[Member], processes: int) -> Text:
    """The processes, or ``all`` if they are all processes that the heading names."""
    if not members:
        return Text("none alive", style="yellow")
    if len(members) == processes > 1:
        return Text(f"all {processes}")
    return Text("\n".join(_shown(members)))


def _shown(members: Sequence[Member]) -> list[str]:
    """``host:pid pid ...`` for each host."""
    hosts: dict[str, str] = {}
    for one in members[:_MOST_MEMBERS]:
        if one.host and one.pid is not None:
            line = hosts.get(one.host)
            hosts[one.host] = f"{line} {one.pid}" if line else f"{one.host}:{one.pid}"
        else:
            hosts[one.process] = one.process
    more = len(members) - _MOST_MEMBERS
    return [*map(printable, hosts.values()), *([f"and {more} more"] if more > 0 else [])]


def _breakers(breakers: Iterable[BreakerStatus]) -> Table:
    table = _table("BREAKER", "STATE", "STREAK", "WINDOW", "OK", "FAILED")
    for column in table.columns[2:]:
        column.justify = "right"
        column.no_wrap = True
    for one in breakers:
        name = Text(printable(one.name))
        if not one.registered:
            name.append("\nnot registered", style="dim")
        state = Text(one.in_words, style=_style(one))
        for line in _below(one):
            state.append(f"\n{line}", style="not bold default")
        table.add_row(
            name,
            state,
            f"{one.consecutive_failures}/{one.failure_threshold}",
            f"{one.window_failures}/{one.window_calls}",
            str(one.total_successes),
            str(one.total_failures),
        )
    return table


def _below(one: BreakerStatus) -> Iterator[str]:
    """Details below a breaker's state."""
    if one.override is not None:
        yield f"by {printable(one.override.actor)}: {printable(one.override.reason) or 'no reason'}"
    elif one.state == "half_open":
        yield f"{one.probe_successes} of {one.success_threshold} probes succeeded"
    elif one.state == "open" and one.opened_at is not None:
        times = (
            "" if one.consecutive_openings <= 1 else f", {one.consecutive_openings} times in a row"
        )
        yield f"since {time_of_day(one.opened_at)}{times}"


def _style(one: BreakerStatus) -> str:
    if one.override is not None:
        return "bold magenta"
    if one.state == "closed":
        return "green" if one.cooldown_left is None and not one.open_locally else "yellow"
    return "bold red" if one.refused == "open" else "bold yellow"


def _damage_line(damage: Damage) -> Text:
    text = Text("  damaged: ", style="bold red")
    return text.append(printable(f"{damage.record}: {damage.problem}"), style="not bold default")


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=True, padding=(0, 2, 0, 0), header_style="dim")
    table.title_justify = "left"
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def _count(number: int, noun: str, ending: str = "s") -> str:
    return f"{number} {noun}{'' if number == 1 else ending}"
