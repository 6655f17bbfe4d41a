"""The output while the demo runs: a table redrawn in place, or lines of text."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, Protocol, Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ciris_registry.demo.agent import BREAKER

if TYPE_CHECKING:
    from ciris_registry.demo.ledger import Ledger

_LINES: Final = 16
_ROWS: Final = 9
"""Lines of the terminal that the table takes."""

_BAR: Final = 7
_FULL: Final = 48.0
"""Requests a second that fill a bar."""

_SIGNS: Final = {"closed": "●", "open": "○", "half_open": "◐", "cooling": "◌"}

_STYLES: Final = {
    "closed": "green",
    "open": "bold red",
    "half_open": "bold yellow",
    "cooling": "bold blue",
}


class Screen(Protocol):
    """Where the demo shows its progress."""

    def __enter__(self) -> Self:
        """Start showing."""
        ...

    def __exit__(self, *_: object) -> None:
        """Restore the terminal."""
        ...

    def show(self, text: str, style: str = "", at: float = 0.0) -> None:
        """Show that something has happened, now or at a given time."""
        ...

    def tick(self) -> None:
        """Show the current state; called about twenty times a second."""
        ...


def new_screen(console: Console, ledger: Ledger, *, plain: bool) -> Screen:
    """A table on a terminal, else lines."""
    fancy = console.is_terminal and not console.is_dumb_terminal and not plain
    return LiveScreen(console, ledger) if fancy else PlainScreen(console, ledger)


class PlainScreen:
    """A line for each event, and one a second for the current state."""

    def __init__(self, console: Console, ledger: Ledger) -> None:
        self._console = console
        self._ledger = ledger
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, text: str, style: str = "", at: float = 0.0) -> None:
        """Write a line."""
        line = Text(f"{_seconds(self._ledger, at):5.2f} s  ").append(text, style)
        self._console.print(line, soft_wrap=True)

    def tick(self) -> None:
        """Write a line, once a second."""
        ledger, now = self._ledger, time.monotonic()
        if not ledger.started or now < self._next:
            return
        first, self._next = not self._next, now + 1
        if first:
            return
        rates = "  ".join(f"{name} {_rate(ledger, name):2d}" for name in ledger.providers)
        seen = f"errors seen: {len(ledger.errors)}"
        for name in ledger.providers:
            views = Counter(_view(ledger, agent, name) for agent in ledger.living)
            if set(views) != {"closed"}:
                states = ", ".join(f"{state} in {count}" for state, count in views.most_common())
                seen += f"   {name} {states}"
        self.show(f"         requests/s: {rates}   {seen}", "dim")


class LiveScreen:
    """A table of the providers, redrawn in place, with the latest events below it."""

    def __init__(self, console: Console, ledger: Ledger) -> None:
        self._console = console
        self._ledger = ledger
        self._lines = deque[Text](maxlen=_LINES)
        self._live = Live(
            self._picture(), console=console, auto_refresh=False, vertical_overflow="crop"
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.tick()
        self._live.stop()

    def show(self, text: str, style: str = "", at: float = 0.0) -> None:
        """Add a line below the table."""
        self._lines.append(Text(f"{_seconds(self._ledger, at):5.2f} s  ").append(text, style))
        self.tick()

    def tick(self) -> None:
        """Redraw everything."""
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> Group:
        ledger = self._ledger
        table = Table(box=box.ROUNDED, border_style="dim", header_style="bold")
        table.add_column("provider", style="bold", width=8)
        table.add_column("breaker", width=14)
        table.add_column("in each process", width=16)
        table.add_column("calls", justify="right", width=5)
        table.add_column("failed", justify="right", width=6)
        table.add_column("last second", width=11)
        for name in ledger.providers:
            failed = len(ledger.received(name)) - len(ledger.received(name, "answered"))
            rate = _rate(ledger, name)
            table.add_row(
                name,
                _breaker(ledger, name),
                _views(ledger, name),
                str(len(ledger.received(name))),
                Text(str(failed), "red" if failed else "dim"),
                Text(f"{rate:3d} ").append("█" * min(_BAR, round(rate / _FULL * _BAR)), "blue"),
            )
        errors = len(ledger.errors)
        seen = Text(f"Callers have seen {errors} errors of {len(ledger.calls)} calls.")
        seen.stylize("bold red" if errors else "bold green")
        room = min(_LINES, max(1, self._console.height - _ROWS))
        return Group(table, seen, *list(self._lines)[-room:])


def _breaker(ledger: Ledger, name: str) -> Text:
    """The fleet's state, according to the event stream."""
    now = time.monotonic()
    periods = ledger.periods(name, "closed", "open", "half_open")
    state = periods[-1].state if periods else "closed"
    if any(one.holds(now) for one in ledger.periods(name, "cooling")):
        state = "cooling"
    words = state.upper()
    if state == "open":
        left = periods[-1].start + BREAKER.recovery_timeout - now
        words += f" for {left:.1f} s" if left > 0 else ", may probe"
    return Text(words, _STYLES[state])


def _views(ledger: Ledger, name: str) -> Text:
    text = Text()
    for agent in ledger.agents:
        if agent in ledger.lost:
            text.append("x", "dim")
        else:
            state = _view(ledger, agent, name)
            text.append(_SIGNS[state], _STYLES[state])
    return text


def _view(ledger: Ledger, agent: str, name: str) -> str:
    return ledger.views.get((agent, name), "closed")


def _rate(ledger: Ledger, name: str) -> int:
    """Requests that ended within the last second."""
    since, count = time.monotonic() - 1.0, 0
    for upstream, request in reversed(ledger.requests):
        if request.left < since - 1.0:
            break
        count += upstream == name and request.left >= since
    return count


def _seconds(ledger: Ledger, at: float) -> float:
    """Seconds after the first call."""
    return (at or time.monotonic()) - ledger.started if ledger.started else 0.0
