"""In cached mode, a breaker that opens in one process is open in all others by the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

PATIENT = 30.0
"""Seconds of max_staleness: whatever is known sooner has come by the stream. Where that is silent,
one version is compared every 4 s."""
BOUND = 2.0

REGISTER = """
    registry.register("h", "llm", Client(), name="shared")
    assert await registry.get_service("h", "llm") is not None
"""
CALL = """
    let_through = 0
    end = time.monotonic() + 10
    while await registry.get_service("h", "llm") is not None:
        let_through += 1
        handle.record_success()
        assert time.monotonic() < end, "it was never refused"
        await asyncio.sleep(0.005)
    return [let_through, time.time()]
"""


def test_every_process_refuses_what_one_has_opened(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    six = fleet(6, consistency="cached", max_staleness=PATIENT)
    six.all(REGISTER)
    others = six.agents[1:]
    for other in others:
        other.begin(CALL)

    six[0].run("await asyncio.sleep(0.2); return await registry.get_service('h', 'llm') is None")
    opened = six[0].run("""
        await handle.aforce_open("a test", 60)
        return time.time()
    """)
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
    six.all(REGISTER)
    six.begin("""
        dead = time.time() + 0.5
        failed = 0
        while time.time() < dead + 5:
            if await registry.get_service("h", "llm") is None:
                break
            if time.time() < dead:
                handle.record_success()
            else:
                failed += 1
                handle.record_failure()
            await asyncio.sleep(0.01)
        return failed
    """)
    failed = six.end()

    wait_until(lambda: shared.state() == "open")
    # Those in flight: what six processes do while five failures and one event are on their way.
    assert 5 <= sum(failed) <= 5 + 6 * 10, failed
    assert len(shared.events("breaker_opened")) == 1
