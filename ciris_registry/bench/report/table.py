"""The results of a run as a table on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from ciris_registry.bench.report.results import Measurement, Results

_BIG = 1000


def render(results: Results) -> Iterator[RenderableType]:
    """What to print, from top to bottom."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for header in ("MEASUREMENT", "FIGURE", "", "COMPARED WITH", "RATIO", "TARGET", ""):
        table.add_column(header, overflow="fold")
    for column in (1, 4):
        table.columns[column].justify = "right"
    for one in results.measurements:
        table.add_row(
            one.what,
            number(one.value),
            one.unit,
            _against(one),
            "" if one.ratio is None else number(one.ratio),
            target(one),
            Text(met(one), style="green" if one.met else "bold red"),
        )
    yield table
    notes = [
        Text(f"{one.what}: {one.note}", style="dim") for one in results.measurements if one.note
    ]
    yield Text()
    yield from notes
    yield Text(
        f"{results.server}; Python {results.python} on {results.machine}; "
        f"scale {results.scale:g}, {results.seconds:.0f} s",
        style="dim",
    )


def number(value: float) -> str:
    """Three significant digits, or whole numbers with separated thousands."""
    if abs(value) >= _BIG:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _against(one: Measurement) -> str:
    if one.against_value is None:
        return one.against
    return f"{one.against}: {number(one.against_value)} {one.unit}"


def target(one: Measurement) -> str:
    """The target in words; empty without a target."""
    if one.target is None:
        return ""
    return f"{'at least' if one.at_least else 'at most'} {number(one.target)}"


def met(one: Measurement) -> str:
    """``met`` or ``missed``; empty without a target."""
    if one.met is None:
        return ""
    return "met" if one.met else "missed"
