"""At most ``max_in_flight`` guarded calls of a provider run at one time, in the whole fleet.

They are counted by the provider itself: another server, at which each call reports that it began
and that it has ended. A dead process frees its slots with its lease.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import redis

from tests.fleet.outages import wait_for, wait_for_away
from tests.fleet.server import Server
from tests.fleet.work import max_in_flight, registries
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

MODES = ("cached", "exact")
LIMIT = 5
LEASE = 1.5


class Upstream:
    """What the provider has seen."""

    def __init__(self, server: Server) -> None:
        self.socket = str(server.socket)
        self.client: Any = redis.Redis(unix_socket_path=self.socket, decode_responses=True)

    def most(self, name: str) -> int:
        """The largest number of calls at one time."""
        return max(map(int, self.client.lrange(f"{name}:seen", 0, -1)), default=0)

    def now(self, name: str) -> int:
        """The number of calls in flight."""
        return int(self.client.get(name) or 0)


@pytest.fixture
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """A provider that counts, on a server of its own, which no test stops."""
    directory: Path = tmp_path_factory.mktemp("up")
    server = Server(directory)
    try:
        server.start()
        yield Upstream(server)
    finally:
        server.kill()


def begin(team: Team, upstream: Upstream, limit: int = LIMIT, *, spare: bool = True) -> None:
    team.all(max_in_flight.prepare, upstream.socket, limit, spare=spare)


def slots(shared: SharedState) -> set[str]:
    return set(shared.client.zrange(shared.keys.slots("small"), 0, -1))


@pytest.mark.parametrize("mode", MODES)
def test_a_provider_gets_no_more_calls_than_its_limit_and_the_next_one_gets_the_rest(
    fleet: Callable[..., Team], shared: SharedState, upstream: Upstream, mode: str
) -> None:
    four = fleet(4, consistency=mode)
    begin(four, upstream)

    answers = Counter(name for answer in four.all(max_in_flight.call) for name in answer)

    assert answers.total() == 4 * 5 * 20
    assert answers["none"] == 0
    assert upstream.most("small") == LIMIT
    assert answers["large"] > 0
    assert answers["small"] > answers.total() / 10, "what is free is used"
    four.all(registries.flush)
    assert slots(shared) == set()


def test_without_another_provider_calls_raise_that_it_is_full(
    fleet: Callable[..., Team], upstream: Upstream
) -> None:
    four = fleet(4, consistency="cached")
    begin(four, upstream, 2, spare=False)

    answers = Counter(name for answer in four.all(max_in_flight.call) for name in answer)

    assert set(answers) == {"small", "none"}
    assert upstream.most("small") == 2


def test_a_call_that_retries_gets_a_slot(fleet: Callable[..., Team], upstream: Upstream) -> None:
    two = fleet(2, consistency="cached")
    begin(two, upstream, 1, spare=False)
    answers = two.all(max_in_flight.call_with_retries)
    assert answers == [["small"] * 5] * 2
    assert upstream.most("small") == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_killed_holder_frees_its_slots_within_a_lease_and_a_live_one_keeps_them(
    fleet: Callable[..., Team], shared: SharedState, upstream: Upstream, mode: str
) -> None:
    three = fleet(3, consistency=mode, lease=LEASE)
    begin(three, upstream, 2, spare=False)
    dies, lives, waits = three
    assert dies.run(max_in_flight.hold, 1) == lives.run(max_in_flight.hold, 1) == 1
    time.sleep(1.5 * LEASE)
    assert waits.run(max_in_flight.try_once) == [["full", None]], "both are renewed"

    dies.kill()
    killed = time.monotonic()
    expected_at: list[float] = []

    def is_free() -> bool:
        answer = waits.run(max_in_flight.try_once)
        if answer == "taken":
            return True
        [[reason, retry_after]] = answer
        assert reason == "full"
        if retry_after is not None:
            expected_at.append(time.monotonic() - killed + retry_after)
        return False

    wait_until(is_free, 2 * LEASE)

    took = time.monotonic() - killed
    assert took <= LEASE + 0.3
    assert expected_at, "after missed heartbeats, callers know when its slots are free"
    assert all(abs(one - took) < 0.3 for one in expected_at), (expected_at, took)
    wait_until(lambda: {one.partition("|")[0] for one in slots(shared)} == {lives.process_id})
    lives.run(max_in_flight.let_go)
    wait_until(lambda: slots(shared) == set())


@pytest.mark.parametrize("mode", MODES)
def test_closing_a_registry_frees_its_slots_at_once(
    fleet: Callable[..., Team], upstream: Upstream, mode: str
) -> None:
    two = fleet(2, consistency=mode, lease=60.0)
    begin(two, upstream, 1, spare=False)
    holder, other = two
    assert holder.run(max_in_flight.hold, 1) == 1
    assert other.run(max_in_flight.try_once) == [["full", None]]
    holder.run(registries.close)
    assert other.run(max_in_flight.try_once) == "taken"
    holder.run(max_in_flight.let_go)


def test_get_service_takes_no_slot_and_is_not_limited(
    fleet: Callable[..., Team], shared: SharedState, upstream: Upstream
) -> None:
    two = fleet(2, consistency="cached")
    begin(two, upstream, 1, spare=False)
    assert two[0].run(max_in_flight.hold, 1) == 1
    assert two[1].run(registries.found_name) == "small"
    assert len(slots(shared)) == 1
    two[0].run(max_in_flight.let_go)


def test_a_new_limit_is_the_whole_fleets(fleet: Callable[..., Team], upstream: Upstream) -> None:
    two = fleet(2, consistency="cached")
    begin(two, upstream, 1, spare=False)
    assert two[0].run(max_in_flight.hold, 1) == 1
    assert two[1].run(max_in_flight.try_once) == [["full", None]]
    two[0].run(max_in_flight.change_limit, 2)
    assert two[1].run(max_in_flight.try_once) == "taken"
    two[0].run(max_in_flight.let_go)


@pytest.mark.parametrize("outage", ["hangs", "is killed"])
def test_while_redis_is_away_each_process_makes_no_more_calls_than_the_limit(
    borrow: Callable[..., Team], server: Server, upstream: Upstream, outage: str
) -> None:
    two = borrow(2, server.url, consistency="cached", store_timeout=0.05, lease=LEASE)
    begin(two, upstream, 2, spare=False)
    assert two[0].run(max_in_flight.hold, 1) == 1
    if outage == "hangs":
        server.freeze()
    else:
        server.kill()

    answers = Counter(name for answer in two.all(max_in_flight.call) for name in answer)

    assert answers["small"] > 0, "it goes on"
    assert upstream.most("small") <= 3, "one of the two of one process is taken, by what hangs"
    wait_for_away(two)
    if outage == "hangs":
        server.thaw()
    else:
        server.start()
    wait_for(two, "connected")
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        key = "ciris:v2:{default/0}:llm:slots:small"
        wait_until(lambda: client.zcard(key) == 1, 3 * LEASE)
        assert two[1].run(max_in_flight.hold, 2) == 1
        two.all(max_in_flight.let_go)
        wait_until(lambda: client.zcard(key) == 0, 3 * LEASE)
