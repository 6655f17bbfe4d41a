"""Weighted turns are the whole fleet's: each provider gets its share within 1 %, in both modes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team

MODES = ("cached", "exact")
TIMES = {"cached": 300, "exact": 100}
"""Uses by each of twenty processes; cached, what is left of their blocks is within 1 % of them."""

WEIGHTS = {"a": 1, "b": 2, "c": 3, "d": 4}

REGISTER = f"""
    for name, weight in {WEIGHTS}.items():
        registry.register(
            "h", "llm", Client(name), strategy=SelectionStrategy.WEIGHTED, name=name, weight=weight
        )
    await registry.flush()
"""

RESOLVE = """
    names = []
    for turn in range({times}):
        names.append((await registry.get_service("h", "llm")).name)
        if turn % 50 == 0:
            await asyncio.sleep(0)
    return names
"""

CALL = """
    async def name(client):
        return client.name

    return [await registry.call("h", "llm", name) for _ in range({times})]
"""


def counted(answers: list[list[str]]) -> Counter[str]:
    return Counter(name for answer in answers for name in answer)


def assert_shares(got: Counter[str], weights: dict[str, int]) -> None:
    """Within 1 % of its share, each."""
    assert set(got) == set(weights)
    for name, weight in weights.items():
        share = got.total() * weight / sum(weights.values())
        assert abs(got[name] - share) <= 0.01 * share, (name, share, got)


@pytest.mark.parametrize("use", [RESOLVE, CALL], ids=["resolves", "calls"])
@pytest.mark.parametrize("mode", MODES)
def test_twenty_processes_at_once_use_each_provider_by_its_weight(
    fleet: Callable[..., Team], mode: str, use: str
) -> None:
    twenty = fleet(20, consistency=mode, lease=60.0)
    twenty.all(REGISTER)
    twenty.all("await registry.refresh()")
    assert_shares(counted(twenty.all(use.format(times=TIMES[mode]))), WEIGHTS)


@pytest.mark.parametrize("mode", MODES)
def test_the_share_of_an_open_provider_goes_to_the_others_by_their_weights(
    fleet: Callable[..., Team], mode: str
) -> None:
    eight = fleet(8, consistency=mode, lease=60.0)
    eight.all(REGISTER)
    eight[0].run("await registry.breaker('llm', 'd').aforce_open('a test', 60)")
    eight.all("await registry.refresh()")
    rest = {name: weight for name, weight in WEIGHTS.items() if name != "d"}
    assert_shares(counted(eight.all(RESOLVE.format(times=2 * TIMES[mode]))), rest)


def test_a_new_weight_is_the_whole_fleets(fleet: Callable[..., Team]) -> None:
    four = fleet(4, consistency="cached", lease=60.0)
    four.all(REGISTER)
    four[0].run("""
        registry.register(
            "h", "llm", Client("a"), strategy=SelectionStrategy.WEIGHTED, name="a", weight=10
        )
        await registry.flush()
    """)
    four.all("await registry.refresh()")
    assert_shares(counted(four.all(RESOLVE.format(times=1000))), {**WEIGHTS, "a": 10})


@pytest.mark.parametrize("mode", MODES)
def test_the_least_loaded_gets_the_next_call_for_its_weight(
    fleet: Callable[..., Team], mode: str
) -> None:
    """Twelve calls at one time, of which one provider gets twice as many as the other."""
    [one] = fleet(1, consistency=mode)
    in_flight = one.run("""
        class Counting(Client):
            now = 0

            async def hang(self):
                self.now += 1
                await asyncio.sleep(600)

        clients = [Counting("heavy"), Counting("light")]
        for client, weight in zip(clients, (2, 1)):
            registry.register(
                "h", "llm", client, strategy=SelectionStrategy.LEAST_LOADED, name=client.name,
                weight=weight,
            )
        await registry.flush()
        calls = []
        for number in range(1, 13):
            calls.append(asyncio.create_task(registry.call("h", "llm", Counting.hang)))
            while sum(client.now for client in clients) < number:
                await asyncio.sleep(0.001)
        for call in calls:
            call.cancel()
        return {client.name: client.now for client in clients}
    """)
    assert in_flight == {"heavy": 8, "light": 4}
