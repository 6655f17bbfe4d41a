"""A process killed at any moment leaves nothing half done and nothing taken.

Sixty of them come out of one process that has imported everything already, because starting so
many anew would take half a minute.
"""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING, Final, Self

from ciris_registry.registration import parse_registration
from tests.fleet.work import breakers, providers, registries
from tests.running import start
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

KILLS = 60
LEASE = 1.5

# success_threshold is never reached, so the breaker stays HALF_OPEN and there is a permit to take.
PROBING = {
    "failure_threshold": 1,
    "recovery_timeout": 0,
    "success_threshold": 1_000_000,
    "timeout_duration": 600,
}


class Nursery:
    """Makes processes that work until they are killed."""

    def __init__(self, url: str) -> None:
        self._process = start("works_until_it_is_killed", url, LEASE)
        self._born: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in list(self._born):
            self.kill(pid)
        self._process.communicate(timeout=10)

    def born(self) -> int:
        """A new process that works."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        self._born.add(pid)
        return pid

    def kill(self, pid: int) -> None:
        """End it as ``kill -9`` does."""
        os.kill(pid, signal.SIGKILL)
        self._born.discard(pid)


NAMES: Final = ("own-0@thinker", "own-1@thinker", "own-2@thinker", "shared")


def assert_nothing_is_half_done(shared: SharedState) -> None:
    """Registrations, their records and their holders are consistent at any moment."""
    keys = shared.keys
    with shared.client.pipeline() as pipe:
        pipe.zrange(keys.registrations, 0, -1)
        for name in NAMES:
            pipe.hgetall(keys.registration(name))
        for name in NAMES:
            pipe.smembers(keys.holders(name))
        listed, *found = pipe.execute()
    hashes, holders = found[: len(NAMES)], dict(zip(NAMES, found[len(NAMES) :], strict=True))
    records = {one: fields for one, fields in zip(NAMES, hashes, strict=True) if fields}
    assert set(records) == set(listed), "a registration without a record, or a record without"
    for one, fields in records.items():
        parse_registration("llm", one, 1.0, fields)
    offered = {one for one, processes in holders.items() if processes}
    assert offered == set(listed), "a registration without a holder, or a holder of nothing"


def test_sixty_kills_at_any_moment_leave_nothing_half_done_and_nothing_taken(
    fleet: Callable[..., Team], shared: SharedState, real_url: str
) -> None:
    [living] = fleet(1, lease=LEASE)
    living.run(providers.register_shared, **PROBING)
    living.run(breakers.arecord_failure)
    moments = random.Random()

    with Nursery(real_url) as nursery:
        at_work = [nursery.born() for _ in range(3)]
        for _ in range(KILLS - len(at_work)):
            time.sleep(moments.uniform(0.0, 0.06))  # the moment is what this test is about
            assert_nothing_is_half_done(shared)
            nursery.kill(at_work.pop(0))
            assert_nothing_is_half_done(shared)
            at_work.append(nursery.born())
        done = int(shared.breaker()["total_successes"])
        wait_until(lambda: int(shared.breaker()["total_successes"]) > done)

    # Their leases end, and a living process finds all of it free.
    wait_until(lambda: living.run(registries.find, "unknown"))
    living.run(breakers.arecord_success)
    wait_until(lambda: shared.registrations() == ["shared"])
    wait_until(lambda: list(shared.members("")) == [living.process_id])
    assert list(shared.members("shared")) == [living.process_id]
    assert shared.permits() == {}
    assert shared.state() == "half_open"
