"""Each key of a namespace is deleted in turn, while processes call: no caller notices.

The page of keys says of each whether it comes back, and what is lost with it.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Final

import pytest

from ciris_registry import ServiceRegistry
from tests.documentation import text_of
from tests.fleet.modes import BOTH_MODES
from tests.fleet.work import every_key, load
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

HEARTBEAT: Final = 0.4
SLACK: Final = 1.5
"""Seconds that a machine with two busy cores needs to get round to it."""

DECIDED: Final = {"opened": "open", "forced": "forced_open", "cooling": "cooling_down"}

BACK: Final = "written anew"
_ROW: Final = re.compile(r"^\| `(<?[\w:<>]+)` \| ([^|]+) \|$", re.MULTILINE)
ROWS: Final = dict(_ROW.findall(text_of("docs/reference/redis-keys.md")))
"""What the page says of a key that is lost, by the part of the key behind the partition."""


def row_of(key: str) -> str:
    """What the page says of this key if it is lost."""
    rest = key.partition("}:")[2]
    for shown, lost in ROWS.items():
        if re.fullmatch(re.sub(r"<\w+>", "[^:]+", shown), rest):
            return str(lost)
    return pytest.fail(f"the page does not say what is lost with {key}")


async def _explained(url: str) -> dict[str, str]:
    async with ServiceRegistry(url=url, consistency="exact") as newcomer:
        newcomer.bind("llm", object())
        explained = await newcomer.explain("states", "llm")
        return {one.name: one.reason for one in explained if one.name in DECIDED}


def newcomer_decides(url: str) -> dict[str, str]:
    """Why a registry that has just begun refuses the providers that are refused."""
    return asyncio.run(_explained(url))


@pytest.mark.outage_run
@BOTH_MODES
def test_each_key_may_be_deleted_under_load(
    fleet: Callable[..., Team], shared: SharedState, real_url: str
) -> None:
    three = fleet(3, heartbeat_interval=HEARTBEAT, lease=4.0)
    three.all(every_key.register)
    three[0].run(every_key.decide)
    three[1].run(every_key.hold_slot)
    for _ in range(5):
        three[1].run(every_key.fail_alone, fails=False)
        three[0].run(every_key.fail_alone, fails=True)
    three.all(load.begin)
    time.sleep(3 * HEARTBEAT)
    shared.client.hset(shared.keys.expiry, "losses", 0)  # what a process that died leaves

    def first_short_lived(key: str) -> tuple[bool, str]:
        return not re.search(":(permits|slots|local_trips):", key), key

    keys = sorted((str(key) for key in shared.client.scan_iter()), key=first_short_lived)
    kinds = {key.partition("}:")[2].removeprefix("llm:").partition(":")[0] for key in keys}
    assert kinds == {shown.removeprefix("<type>:").partition(":")[0] for shown in ROWS}
    late: list[str] = []
    for key in keys:
        if not shared.client.delete(key):
            continue  # another one had it as well
        began, back = time.monotonic(), row_of(key).startswith(BACK)

        def settled(key: str = key, *, back: bool = back) -> bool:
            return bool(not back or shared.client.exists(key)) and (
                newcomer_decides(real_url) == DECIDED
            )

        wait_until(settled)
        took = time.monotonic() - began
        if took > 2 * HEARTBEAT + SLACK:
            late.append(f"{key}: {took:.1f} s")
        for agent in three:
            found = agent.run(every_key.reasons)
            assert found == {**found, **DECIDED}, key
    assert late == []
    three.all(every_key.release)
    for seen in three.all(load.end):
        assert seen["errors"] == []
        assert seen["done"].keys() == {"left", "right"}
