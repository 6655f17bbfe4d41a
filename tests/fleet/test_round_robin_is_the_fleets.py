"""A round robin is one rotation of the whole fleet, right under concurrency and change."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.fleet.work import breakers, registries, rotation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.fleet.pool import Team
    from tests.fleet.work.state import AgentState

    Resolve = Callable[[AgentState, int], Awaitable[list[str | None]]]

NAMES = ["a", "b", "c", "d"]

EACH = 80
"""Resolves of each process."""


def counted(answers: list[list[str | None]]) -> Counter[str | None]:
    return Counter(name for answer in answers for name in answer)


@pytest.mark.parametrize(
    "resolve", [rotation.resolve, rotation.resolve_at_once], ids=["one by one", "all at once"]
)
def test_twenty_processes_at_once_resolve_each_provider_equally_often(
    fleet: Callable[..., Team], resolve: Resolve
) -> None:
    twenty = fleet(20)
    twenty.all(rotation.register)
    assert counted(twenty.all(resolve, EACH)) == dict.fromkeys(NAMES, 20 * EACH // 4)


def test_a_provider_that_leaves_during_a_rotation_costs_no_turn(fleet: Callable[..., Team]) -> None:
    twenty = fleet(20)
    owner, users = twenty[0], twenty.agents[1:]
    owner.run(rotation.register)
    for user in users:
        user.run(rotation.bind, "abcd")
    for user in users:
        user.begin(rotation.resolve_with_times, EACH)
    gone = owner.run(rotation.leave_after, 19 * EACH // 2)
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
    twenty.all(rotation.register)

    answers = twenty.all(rotation.resolve_and_leave_halfway, EACH)

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
    twenty[0].run(rotation.register)
    for user in twenty.agents[1:]:
        user.run(rotation.bind, "abc")

    firsts = [user.run(registries.found_name) for user in twenty.agents[1:]]

    assert set(firsts) <= set("abc")
    assert len(set(firsts)) > 1


def test_a_provider_whose_breaker_opens_during_a_rotation_costs_no_turn(
    fleet: Callable[..., Team],
) -> None:
    eight = fleet(8)
    eight.all(rotation.register)
    first = counted(eight.all(rotation.resolve, EACH))
    eight[0].run(breakers.force_open, "d", "test", 60)
    second = counted(eight.all(rotation.resolve, EACH))
    assert first == dict.fromkeys(NAMES, 8 * EACH // 4)
    assert second["d"] == 0
    rest = [second[name] for name in "abc"]
    assert sum(rest) == 8 * EACH
    assert max(rest) - min(rest) <= 8
