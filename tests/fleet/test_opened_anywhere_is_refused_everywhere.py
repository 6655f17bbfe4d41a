"""In cached mode, a breaker that opens in one process is open in all others by the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fleet.work import registries, traffic
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

PATIENT = 30.0
"""Seconds of max_staleness: whatever is known sooner has come by the stream. Where that is silent,
one version is compared every 4 s."""
BOUND = 2.0


def test_every_process_refuses_what_one_has_opened(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    six = fleet(6, consistency="cached", max_staleness=PATIENT)
    six.all(traffic.register)
    others = six.agents[1:]
    for other in others:
        other.begin(traffic.use_until_refused)

    six[0].run(registries.sleep, 0.2)
    six[0].run(registries.find)
    opened = six[0].run(traffic.force_open)
    answers = [other.end() for other in others]

    for let_through, refused in answers:
        assert let_through > 0
        assert refused - opened < BOUND
    assert shared.state() == "closed"
    assert shared.breaker()["override"] == "open"


def test_failures_of_one_open_it_for_all_and_the_calls_until_then_are_bounded(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    """The provider dies under traffic; earlier successes are counted and not reported yet."""
    six = fleet(6, consistency="cached", max_staleness=PATIENT)
    six.all(traffic.register)
    six.begin(traffic.use_while_it_dies)
    failed = six.end()

    wait_until(lambda: shared.state() == "open")
    # Those in flight: what six processes do while five failures and one event are on their way.
    assert 5 <= sum(failed) <= 5 + 6 * 10, failed
    assert len(shared.events("breaker_opened")) == 1
