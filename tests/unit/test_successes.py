"""Successes are counted here and reported in batches: each once, with its age."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry.circuit_breaker.states import ReplyCode
from ciris_registry.errors import IndeterminateWriteError, StoreUnavailableError
from ciris_registry.settings import RegistrySettings
from ciris_registry.shared_breaker.success_batches import AT_ONCE, SuccessBatches
from ciris_registry.store.connection.connectivity import Connectivity
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence

    from ciris_registry.store.replies import Tally

KEY = ("llm", "shared")


class FakeBreakers:
    """Takes reports, or fails as it is told."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, list[Tally]]] = []
        self.fails: Exception | None = None

    async def tally(self, service_type: str, counts: Sequence[Tally]) -> list[ReplyCode]:
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        self.reports.append((service_type, list(counts)))
        return [ReplyCode.COUNTED] * len(counts)

    def told(self) -> dict[tuple[str, str], int]:
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
    connectivity = Connectivity("redis://example", RegistrySettings())
    return SuccessBatches(session, connectivity, every)  # type: ignore[arg-type]


async def test_a_report_says_how_long_ago_the_newest_was(session: FakeSession) -> None:
    successes = made(session)
    successes.count(KEY, 1)
    await asyncio.sleep(0.05)
    successes.count(KEY, 1)
    counted = time.monotonic()
    await asyncio.sleep(0.02)
    await successes.flush()
    latest = (time.monotonic() - counted) * 1000 + 1
    [(_, [tally])] = session.fake.reports
    assert tally.successes == 2
    assert 19 <= tally.age <= latest


async def test_they_are_reported_after_a_while(session: FakeSession) -> None:
    successes = made(session, 0.02)
    successes.count(KEY, 1)
    await async_wait_until(lambda: session.fake.told() == {KEY: 1})
    successes.count(KEY, 1)
    await async_wait_until(lambda: session.fake.told() == {KEY: 2})
    assert not successes.pending


async def test_whoever_is_in_a_hurry_right_after_the_first_one_does_not_wait(
    session: FakeSession,
) -> None:
    """The report began by forgetting that somebody had asked for it: it came a second later."""
    successes = made(session)
    successes.count(KEY, 1)
    successes.flush_now()
    await async_wait_until(lambda: session.fake.told() == {KEY: 1})


async def test_many_breakers_go_in_several_reports(session: FakeSession) -> None:
    successes = made(session)
    for number in range(2 * AT_ONCE + 1):
        successes.count(("llm", f"n{number}"), 1)
    successes.count(("memory", "one"), 1)
    await successes.flush()
    sizes = [(kind, len(counts)) for kind, counts in session.fake.reports]
    assert sizes == [("llm", AT_ONCE), ("llm", AT_ONCE), ("llm", 1), ("memory", 1)]
    assert set(session.fake.told().values()) == {1}
    assert not successes.pending


async def test_what_was_not_sent_waits_for_the_next_report(session: FakeSession) -> None:
    successes = made(session)
    for number in range(AT_ONCE + 1):
        successes.count(("llm", f"n{number}"), 1)
    session.fake.fails = StoreUnavailableError("somewhere", "a test")
    with pytest.raises(StoreUnavailableError):
        await successes.flush()
    assert successes.total == AT_ONCE + 1
    successes.count(("llm", "n0"), 1)

    session.fake.fails = None
    await successes.flush()
    assert session.fake.told()["llm", "n0"] == 2
    assert sum(session.fake.told().values()) == AT_ONCE + 2


async def test_what_was_perhaps_sent_is_not_sent_twice(session: FakeSession) -> None:
    successes = made(session)
    successes.count(KEY, 1)
    session.fake.fails = IndeterminateWriteError("somewhere", "a test")
    with pytest.raises(IndeterminateWriteError):
        await successes.flush()
    assert not successes.pending


async def test_those_that_went_along_with_a_failure_are_not_reported_again(
    session: FakeSession,
) -> None:
    successes = made(session)
    for number in range(AT_ONCE + 1):
        successes.count(("llm", f"n{number}"), 1)
    flushing = asyncio.ensure_future(successes.flush())
    await asyncio.sleep(0)
    taken = successes.take(("llm", f"n{AT_ONCE}"))
    await flushing
    assert taken is not None
    assert taken.number == 1
    assert ("llm", f"n{AT_ONCE}") not in session.fake.told()


async def test_successes_of_a_newer_generation_are_not_reported_as_late_ones(
    session: FakeSession,
) -> None:
    """They were, with those before them, and did not end a streak for as long as a report."""
    successes = made(session)
    successes.count(KEY, 1)
    successes.count(KEY, 2)
    await successes.flush()
    [(_, [tally])] = session.fake.reports
    assert (tally.successes, tally.generation) == (2, 2)
