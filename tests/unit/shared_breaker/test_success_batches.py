"""Successes are counted in this process and reported in batches: each once, with its age."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry.cache import DesiredState, ExpectedBreaker, Replicas
from ciris_registry.circuit_breaker import BreakerState, CircuitBreakerConfig, ReplyCode
from ciris_registry.errors import IndeterminateWriteError, StoreUnavailableError
from ciris_registry.settings import RegistrySettings
from ciris_registry.shared_breaker.breaker import SharedBreaker
from ciris_registry.shared_breaker.offline_outcomes import OfflineOutcomes
from ciris_registry.shared_breaker.success_batches import MOST_PER_REPORT, SuccessBatches
from ciris_registry.store.connection import RoundTrip
from ciris_registry.store.connection.connectivity import Connectivity
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence

    from ciris_registry.store.records.replies import BatchedSuccesses

KEY = ("llm", "shared")
SETTINGS = RegistrySettings()


class FakeBreakers:
    """Accepts reports, or raises ``fails``."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, list[BatchedSuccesses]]] = []
        self.fails: Exception | None = None

    async def record_successes(
        self, service_type: str, counts: Sequence[BatchedSuccesses]
    ) -> list[ReplyCode]:
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        self.reports.append((service_type, list(counts)))
        return [ReplyCode.COUNTED] * len(counts)

    def reported(self) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for kind, counts in self.reports:
            for one in counts:
                found[kind, one.name] = found.get((kind, one.name), 0) + one.successes
        return found


class FakeStore:
    """Has breakers, and nothing else."""

    def __init__(self) -> None:
        self.breakers = FakeBreakers()


class FakeSession:
    """Gives out one store, and runs tasks in the loop."""

    def __init__(self) -> None:
        self.store_of_all = FakeStore()
        self.fake = self.store_of_all.breakers
        self.tasks: list[asyncio.Task[Any]] = []

    async def store(self) -> FakeStore:
        return self.store_of_all

    def running(self) -> bool:
        return True

    def spawn(self, work: Coroutine[Any, Any, Any], *, watched: bool = False) -> asyncio.Task[Any]:
        self.tasks.append(asyncio.get_running_loop().create_task(work))
        return self.tasks[-1]


@pytest.fixture
def session() -> Iterator[FakeSession]:
    session = FakeSession()
    yield session
    for task in session.tasks:
        task.cancel()


def made(session: FakeSession, every: float = 60.0) -> SuccessBatches:
    connectivity = Connectivity("redis://example", SETTINGS)
    return SuccessBatches(session, connectivity, every, batching=True)  # type: ignore[arg-type]


def count(batches: SuccessBatches, key: tuple[str, str], generation: int) -> None:
    """Count a success of a breaker that is closed, and was admitted in this generation."""
    kind, name = key
    replica = Replicas(SETTINGS, RoundTrip("", SETTINGS)).of(kind)
    closed = BreakerState(CircuitBreakerConfig(), generation=generation)
    replica.apply(ExpectedBreaker(name, closed))
    breaker = SharedBreaker(name, replica, DesiredState(SETTINGS), OfflineOutcomes(), batches)
    assert breaker.count_success(generation)


async def test_a_report_contains_the_age_of_the_newest_success(session: FakeSession) -> None:
    batches = made(session)
    count(batches, KEY, 1)
    await asyncio.sleep(0.05)
    count(batches, KEY, 1)
    counted = time.monotonic()
    await asyncio.sleep(0.02)
    await batches.flush()
    latest = (time.monotonic() - counted) * 1000 + 1
    [(_, [batch])] = session.fake.reports
    assert batch.successes == 2
    assert 19 <= batch.age <= latest


async def test_successes_are_reported_after_the_interval(session: FakeSession) -> None:
    batches = made(session, 0.02)
    count(batches, KEY, 1)
    await async_wait_until(lambda: session.fake.reported() == {KEY: 1})
    count(batches, KEY, 1)
    await async_wait_until(lambda: session.fake.reported() == {KEY: 2})
    assert not batches.pending


async def test_a_flush_right_after_the_first_success_is_not_delayed(
    session: FakeSession,
) -> None:
    """The report cleared the request for a flush when it began, and came a second later."""
    batches = made(session)
    count(batches, KEY, 1)
    batches.flush_now()
    await async_wait_until(lambda: session.fake.reported() == {KEY: 1})


async def test_many_breakers_are_sent_in_several_reports(session: FakeSession) -> None:
    batches = made(session)
    for number in range(2 * MOST_PER_REPORT + 1):
        count(batches, ("llm", f"n{number}"), 1)
    count(batches, ("memory", "one"), 1)
    await batches.flush()
    sizes = [(kind, len(counts)) for kind, counts in session.fake.reports]
    assert sizes == [("llm", MOST_PER_REPORT), ("llm", MOST_PER_REPORT), ("llm", 1), ("memory", 1)]
    assert set(session.fake.reported().values()) == {1}
    assert not batches.pending


async def test_successes_that_were_not_sent_wait_for_the_next_report(session: FakeSession) -> None:
    batches = made(session)
    for number in range(MOST_PER_REPORT + 1):
        count(batches, ("llm", f"n{number}"), 1)
    session.fake.fails = StoreUnavailableError("somewhere", "a test")
    with pytest.raises(StoreUnavailableError):
        await batches.flush()
    assert batches.total == MOST_PER_REPORT + 1
    count(batches, ("llm", "n0"), 1)

    session.fake.fails = None
    await batches.flush()
    assert session.fake.reported()["llm", "n0"] == 2
    assert sum(session.fake.reported().values()) == MOST_PER_REPORT + 2


async def test_successes_that_may_have_been_sent_are_not_sent_twice(session: FakeSession) -> None:
    batches = made(session)
    count(batches, KEY, 1)
    session.fake.fails = IndeterminateWriteError("somewhere", "a test")
    with pytest.raises(IndeterminateWriteError):
        await batches.flush()
    assert not batches.pending


async def test_successes_that_were_sent_with_a_failure_are_not_reported_again(
    session: FakeSession,
) -> None:
    batches = made(session)
    for number in range(MOST_PER_REPORT + 1):
        count(batches, ("llm", f"n{number}"), 1)
    flushing = asyncio.ensure_future(batches.flush())
    await asyncio.sleep(0)
    taken = batches.waiting.pop(("llm", f"n{MOST_PER_REPORT}"))
    await flushing
    assert taken.number == 1
    assert ("llm", f"n{MOST_PER_REPORT}") not in session.fake.reported()


async def test_successes_of_a_newer_generation_are_not_reported_as_late_ones(
    session: FakeSession,
) -> None:
    """A batch was reported under its oldest generation, and did not end a streak."""
    batches = made(session)
    count(batches, KEY, 1)
    count(batches, KEY, 2)
    await batches.flush()
    [(_, [batch])] = session.fake.reports
    assert (batch.successes, batch.generation) == (2, 2)
