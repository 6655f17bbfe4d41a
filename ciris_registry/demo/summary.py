"""The summary: requests by agent and upstream, and every guarantee with its figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from ciris_registry.demo.guarantees import Check
    from ciris_registry.demo.ledger import Ledger


def show(console: Console, ledger: Ledger, checks: Sequence[Check]) -> None:
    """Print it."""
    console.print()
    console.print(_calls(ledger))
    console.print()
    widest = max(len(check.claim) for check in checks)
    for check in checks:
        sign = Text("✓ ", "bold green") if check.held else Text("✗ ", "bold red")
        sign.append(f"{check.claim:{widest}}  ", "" if check.held else "bold")
        console.print(
            sign.append(check.figure, "cyan" if check.held else "bold red"), soft_wrap=True
        )
    for name, how in ledger.lost.items():
        console.print(f"! {name} ended by itself and is not counted: {how}", soft_wrap=True)
    console.print()
    broken = sum(not check.held for check in checks)
    if broken:
        console.print(f"{broken} of {len(checks)} guarantees were broken.", style="bold red")
    else:
        console.print(f"All {len(checks)} guarantees held.", style="bold green")


def _calls(ledger: Ledger) -> Table:
    table = Table(
        title="Requests by process and upstream, and what the callers saw", box=box.ROUNDED
    )
    table.title_justify, table.title_style = "left", "bold"
    table.add_column("process")
    for name in (*ledger.providers, "failed", "calls", "errors", "cut off"):
        table.add_column(name, justify="right")
    for agent in ledger.agents:
        table.add_row(agent, *_row(ledger, {agent}))
    table.add_section()
    table.add_row("all", *_row(ledger, set(ledger.agents)), style="bold")
    return table


def _row(ledger: Ledger, agents: set[str]) -> list[str]:
    sent = [(name, one) for name, one in ledger.requests if one.agent in agents]
    shares = [sum(name == provider for name, _ in sent) for provider in ledger.providers]
    failed = sum(one.ending != "answered" for _, one in sent)
    calls = [call for agent, call in ledger.calls if agent in agents]
    errors = sum(bool(call.error) and not call.words for call in calls)
    cut_off = sum(bool(call.error and call.words) for call in calls)
    return [str(count) for count in (*shares, failed, len(calls), errors, cut_off)]
