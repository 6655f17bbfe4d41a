"""A round robin is one rotation of the whole fleet, right under concurrency and change."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team

NAMES = ["a", "b", "c", "d"]

REGISTER = """
    for name in "abcd":
        registry.register(
            "h", "llm", Client(name), strategy=SelectionStrategy.ROUND_ROBIN, name=name
        )
    await registry.flush()
"""

BIND = """
    for name in "abcd":
        registry.bind(name, Client(name))
"""

EACH = 80
"""Resolves of each process."""

RESOLVE = f"""
    return [getattr(await registry.get_service("h", "llm"), "name", None) for _ in range({EACH})]
"""

AT_ONCE = f"""
    got = await asyncio.gather(*(registry.get_service("h", "llm") for _ in range({EACH})))
    return [getattr(one, "name", None) for one in got]
"""


def counted(answers: list[list[str | None]]) -> Counter[str | None]:
    return Counter(name for answer in answers for name in answer)


@pytest.mark.parametrize("resolve", [RESOLVE, AT_ONCE], ids=["one by one", "all at once"])
def test_twenty_processes_at_once_resolve_each_provider_equally_often(
    fleet: Callable[..., Team], resolve: str
) -> None:
    twenty = fleet(20)
    twenty.all(REGISTER)
    assert counted(twenty.all(resolve)) == dict.fromkeys(NAMES, 20 * EACH // 4)


def test_a_provider_that_leaves_during_a_rotation_costs_no_turn(fleet: Callable[..., Team]) -> None:
    twenty = fleet(20)
    owner, users = twenty[0], twenty.agents[1:]
    owner.run(REGISTER)
    for user in users:
        user.run(BIND)
    for user in users:
        user.begin(
            f"""
            names = []
            for _ in range({EACH}):
                service = await registry.get_service("h", "llm")
                names.append([getattr(service, "name", None), time.monotonic()])
            return names
            """
        )
    gone = owner.run(f"""
        while True:
            await asyncio.sleep(0.002)
            store = await registry._session.store()
            if await store.snapshots.take_positions("llm", "h|0|2", 0) >= {19 * EACH // 2}:
                break
        await registry.aunregister("d")
        return time.monotonic()
    """)
    answers = [[name for name, _ in user.end()] for user in users]
    got = counted(answers)
    assert None not in got
    assert got["d"] > 0, f"it went before any turn, at {gone}"
    rest = [got[name] for name in "abc"]
    assert got.total() == 19 * EACH
    assert max(rest) - min(rest) <= len(users), got


def test_a_provider_that_all_members_unregister_during_a_rotation_costs_no_turn(
    fleet: Callable[..., Team],
) -> None:
    twenty = fleet(20)
    twenty.all(REGISTER)

    answers = twenty.all(f"""
        names = []
        for turn in range({EACH}):
            if turn == {EACH // 2}:
                assert await registry.aunregister("d")
            names.append(getattr(await registry.get_service("h", "llm"), "name", None))
        return names
    """)

    got = counted(answers)
    assert set(got) == set(NAMES)
    assert got.total() == 20 * EACH
    rest = [got[name] for name in "abc"]
    assert max(rest) - min(rest) <= len(twenty), got
    for answer in answers:
        assert "d" not in answer[EACH // 2 :], "it was handed out by a process that has left it"


def test_processes_with_different_bindings_do_not_all_begin_with_the_same_provider(
    fleet: Callable[..., Team],
) -> None:
    twenty = fleet(20)
    twenty[0].run(REGISTER)
    for user in twenty.agents[1:]:
        user.run("""
            for name in "abc":
                registry.bind(name, Client(name))
        """)

    firsts = [
        user.run('return (await registry.get_service("h", "llm")).name')
        for user in twenty.agents[1:]
    ]

    assert set(firsts) <= set("abc")
    assert len(set(firsts)) > 1


def test_a_provider_whose_breaker_opens_during_a_rotation_costs_no_turn(
    fleet: Callable[..., Team],
) -> None:
    eight = fleet(8)
    eight.all(REGISTER)
    first = counted(eight.all(RESOLVE))
    eight[0].run("await registry.breaker('llm', 'd').aforce_open('test', 60)")
    second = counted(eight.all(RESOLVE))
    assert first == dict.fromkeys(NAMES, 8 * EACH // 4)
    assert second["d"] == 0
    rest = [second[name] for name in "abc"]
    assert sum(rest) == 8 * EACH
    assert max(rest) - min(rest) <= 8
