"""Every way in which a guarded use ends settles it once and releases its permit and slot.

Each row of the table is an exit, with what it counts as. It is made while the breaker is CLOSED,
while the use holds the only slot of a provider with ``max_in_flight``, and while the breaker is
HALF_OPEN and the use holds the fleet's only permit, and that slot too.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, NamedTuple

import pytest

from ciris_registry import (
    IGNORED,
    CallTimeoutError,
    CircuitBreakerConfig,
    Classification,
    RegistrySettings,
    ServiceRegistry,
    cooldown,
)
from tests.fleet.work import held_probe
from tests.running import QUIETLY, run
from tests.waiting import async_wait_until, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

    Exit = Callable[[ServiceRegistry], Awaitable[object]]

MODES = ("cached", "exact")
STATES = ("closed", "limited", "half_open")
HANGS = 0.4
"""Seconds after which a use has taken too long."""

SHORT = 0.005
"""A recovery time of 0 is a millisecond."""

CALM = RegistrySettings(lease=3600.0, store_timeout=5.0, success_report_interval=60.0)


class Sad(Exception):  # noqa: N818 # it reads better
    """What the provider raises."""


class Client:
    """A provider."""

    async def work(self) -> str:
        return "done"

    async def fail(self) -> str:
        raise Sad

    async def hang(self) -> str:
        await asyncio.sleep(60)
        return "stale"

    async def items(self) -> AsyncIterator[int]:
        for number in range(3):
            yield number

    async def broken(self, after: int) -> AsyncIterator[int]:
        for number in range(after):
            yield number
        raise Sad

    async def stalled(self, after: int) -> AsyncIterator[int]:
        for number in range(after):
            yield number
        await asyncio.sleep(60)


class Counts(NamedTuple):
    """What an exit adds to the totals of the breaker."""

    successes: int
    failures: int


SUCCESS, FAILURE, NEITHER = Counts(1, 0), Counts(0, 1), Counts(0, 0)


async def ends(registry: ServiceRegistry) -> None:
    async with registry.acquire("h", "llm"):
        pass


async def returns(registry: ServiceRegistry) -> object:
    async with registry.acquire("h", "llm") as client:
        return client


async def breaks(registry: ServiceRegistry) -> None:
    while True:
        async with registry.acquire("h", "llm"):
            break


async def raises(registry: ServiceRegistry) -> None:
    with contextlib.suppress(Sad):
        async with registry.acquire("h", "llm"):
            raise Sad


async def raises_what_is_ignored(registry: ServiceRegistry) -> None:
    with contextlib.suppress(Sad):
        async with registry.acquire("h", "llm", classify=lambda _: IGNORED):
            raise Sad


async def is_told_to_wait(registry: ServiceRegistry) -> None:
    def judge(_: object) -> Classification:
        return cooldown(0.02, "not so fast")

    with contextlib.suppress(Sad):
        async with registry.acquire("h", "llm", classify=judge):
            raise Sad
    await asyncio.sleep(0.05)


async def hold(registry: ServiceRegistry, entered: asyncio.Event) -> None:
    async with registry.acquire("h", "llm"):
        entered.set()
        await asyncio.sleep(60)


async def is_cancelled(registry: ServiceRegistry) -> None:
    entered = asyncio.Event()
    task = asyncio.create_task(hold(registry, entered))
    await entered.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def is_cancelled_by_a_task_group(registry: ServiceRegistry) -> None:
    async def fail(entered: asyncio.Event) -> None:
        await entered.wait()
        raise ValueError

    entered = asyncio.Event()
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(hold(registry, entered))
            group.create_task(fail(entered))


async def is_out_of_the_callers_time(registry: ServiceRegistry) -> None:
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(HANGS / 5):
            await hold(registry, asyncio.Event())
    assert not isinstance(caught.value, CallTimeoutError)


async def takes_too_long(registry: ServiceRegistry) -> None:
    with pytest.raises(CallTimeoutError, match="p did not answer within"):
        await hold(registry, asyncio.Event())


async def does_not_notice_that_it_took_too_long(registry: ServiceRegistry) -> None:
    async with registry.acquire("h", "llm"):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


async def inside_a_generator(registry: ServiceRegistry) -> AsyncIterator[object]:
    async with registry.acquire("h", "llm") as client:
        yield client
        yield client


async def is_in_a_generator_that_is_closed(registry: ServiceRegistry) -> None:
    async with contextlib.aclosing(inside_a_generator(registry)) as items:  # type: ignore[type-var]
        async for _ in items:
            break


async def is_in_a_generator_that_is_dropped(registry: ServiceRegistry) -> None:
    async for _ in inside_a_generator(registry):
        break
    await asyncio.sleep(0.02)  # the loop closes it


async def calls(registry: ServiceRegistry) -> None:
    assert await registry.call("h", "llm", Client.work) == "done"


async def calls_in_vain(registry: ServiceRegistry) -> None:
    with pytest.raises(Sad):
        await registry.call("h", "llm", Client.fail)


async def calls_what_hangs(registry: ServiceRegistry) -> None:
    with pytest.raises(CallTimeoutError):
        await registry.call("h", "llm", Client.hang)


async def calls_what_does_not_notice(registry: ServiceRegistry) -> None:
    async def answer_at_last(client: Client) -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await client.hang()
        return "made up"

    assert await registry.call("h", "llm", answer_at_last) == "made up"


async def streams_what_does_not_notice(registry: ServiceRegistry) -> None:
    async def answer_at_last(client: Client) -> AsyncIterator[str]:
        with contextlib.suppress(asyncio.CancelledError):
            await client.hang()
        yield "made up"

    with pytest.raises(CallTimeoutError):
        [one async for one in registry.stream("h", "llm", answer_at_last)]


async def calls_what_fails_in_many_ways(registry: ServiceRegistry) -> None:
    async def fail(_: Client) -> None:
        raise ExceptionGroup("several", [Sad(), Sad()])

    with pytest.raises(ExceptionGroup):
        await registry.call("h", "llm", fail)


async def leaves_by_a_proxy(registry: ServiceRegistry) -> None:
    client = registry.proxy(Client, handler="h", service_type="llm")
    async for _ in client.items():
        break
    await asyncio.sleep(0.02)  # the loop closes what was dropped


async def calls_and_is_cancelled(registry: ServiceRegistry) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(HANGS / 5):
            await registry.call("h", "llm", Client.hang)


async def calls_with_a_deadline(registry: ServiceRegistry) -> None:
    with pytest.raises(TimeoutError, match="deadline of"):
        await registry.call("h", "llm", Client.hang, deadline=HANGS / 5)


async def streams(registry: ServiceRegistry) -> None:
    assert [one async for one in registry.stream("h", "llm", Client.items)] == [0, 1, 2]


async def streams_nothing(registry: ServiceRegistry) -> None:
    with pytest.raises(Sad):
        [one async for one in registry.stream("h", "llm", Client.broken, 0)]


async def leaves_a_stream(registry: ServiceRegistry) -> None:
    async with contextlib.aclosing(registry.stream("h", "llm", Client.items)) as items:
        async for _ in items:
            break


async def streams_what_stalls_at_once(registry: ServiceRegistry) -> None:
    with pytest.raises(CallTimeoutError):
        [one async for one in registry.stream("h", "llm", Client.stalled, 0)]


EXITS: dict[Exit, Counts] = {
    ends: SUCCESS,
    returns: SUCCESS,
    breaks: SUCCESS,
    raises: FAILURE,
    raises_what_is_ignored: NEITHER,
    is_told_to_wait: NEITHER,
    is_cancelled: NEITHER,
    is_cancelled_by_a_task_group: NEITHER,
    is_out_of_the_callers_time: NEITHER,
    takes_too_long: FAILURE,
    does_not_notice_that_it_took_too_long: FAILURE,
    is_in_a_generator_that_is_closed: NEITHER,
    is_in_a_generator_that_is_dropped: NEITHER,
    calls: SUCCESS,
    calls_in_vain: FAILURE,
    calls_what_hangs: FAILURE,
    calls_what_does_not_notice: FAILURE,
    calls_what_fails_in_many_ways: FAILURE,
    calls_and_is_cancelled: NEITHER,
    calls_with_a_deadline: NEITHER,
    streams: SUCCESS,
    streams_nothing: FAILURE,
    streams_what_stalls_at_once: FAILURE,
    streams_what_does_not_notice: FAILURE,
}

LONG = {
    takes_too_long,
    does_not_notice_that_it_took_too_long,
    calls_what_hangs,
    calls_what_does_not_notice,
    streams_what_stalls_at_once,
    streams_what_does_not_notice,
}


def config(state: str) -> CircuitBreakerConfig:
    """HALF_OPEN, each failure opens it, and the next use is a probe at once."""
    return CircuitBreakerConfig(
        failure_threshold=1 if state == "half_open" else 100,
        recovery_timeout=0,
        success_threshold=1000,
        timeout_duration=HANGS,
        failure_rate_threshold=None,
    )


async def look(registry: ServiceRegistry) -> tuple[Counts, int, str]:
    """Totals, held permits and slots, and the state in Redis."""
    await registry.flush()
    store = await registry._session.store()
    fields, permits, *_ = await store.breakers.read("llm", "p")
    counts = Counts(int(fields["total_successes"]), int(fields["total_failures"]))
    held = await store._transport.ask("ZCARD", store.keys("llm").slots("p"))
    assert held >= registry._parts.concurrency_limit.held("llm", "p")
    return counts, len(permits) + held, fields["state"]


async def begin(registry: ServiceRegistry, state: str) -> Counts:
    registry.register(
        "h",
        "llm",
        Client(),
        name="p",
        circuit_breaker_config=config(state),
        max_in_flight=None if state == "closed" else 1,
    )
    await registry.flush()
    if state == "half_open":
        await registry.breaker("llm", "p").arecord_failure()
        await asyncio.sleep(SHORT)
        await registry.call("h", "llm", Client.work)
    counts, out, now = await look(registry)
    assert (out, now) == (0, "half_open" if state == "half_open" else "closed")
    return counts


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("leave", EXITS, ids=lambda one: one.__name__)
async def test_an_exit_leaves_nothing_taken(
    new_registry: Callable[..., ServiceRegistry], leave: Exit, mode: str, state: str
) -> None:
    registry = new_registry(settings=CALM, consistency=mode)
    before = await begin(registry, state)
    # The second round finds what the first one has left; where rounds are long, the last look does.
    for round_ in (1,) if leave in LONG else (1, 2):
        await leave(registry)
        await asyncio.sleep(SHORT)
        after, out, now = await look(registry)
        assert Counts(*(a - b for a, b in zip(after, before, strict=True))) == Counts(
            *(round_ * one for one in EXITS[leave])
        )
        assert out == 0
        assert registry._parts.breakers.of("llm", "p").in_flight == 0
        opens = state == "half_open" and EXITS[leave] is FAILURE
        assert now == ("open" if opens else "half_open" if state == "half_open" else "closed")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("mode", MODES)
async def test_the_first_item_of_a_stream_settles_a_probe(
    new_registry: Callable[..., ServiceRegistry], mode: str, state: str
) -> None:
    """A permit does not last as long as a stream; a stream that breaks off counts as a failure."""
    registry = new_registry(settings=CALM, consistency=mode)
    before = await begin(registry, state)
    probes = state == "half_open"
    with pytest.raises(Sad):
        [one async for one in registry.stream("h", "llm", Client.broken, 2)]
    after, out, _ = await look(registry)
    assert Counts(after[0] - before[0], after[1] - before[1]) == Counts(int(probes), 1)
    assert out == 0
    await leaves_a_stream(registry)
    last, out, _ = await look(registry)
    assert Counts(last[0] - after[0], last[1] - after[1]) == Counts(int(probes), 0)
    assert out == 0


@pytest.mark.parametrize("mode", MODES)
async def test_a_use_may_be_cancelled_at_every_step(
    new_registry: Callable[..., ServiceRegistry], mode: str
) -> None:
    """During admission, inside the block, and during settlement."""
    registry = new_registry(settings=CALM, consistency=mode)
    await begin(registry, "half_open")
    steps, ended = 0, False
    while not ended:
        task = asyncio.create_task(calls(registry))
        for _ in range(steps):
            await asyncio.sleep(0)
        ended = task.done()
        task.cancel()
        await asyncio.wait({task})
        await registry.flush()

        async def is_free() -> bool:
            return (await look(registry))[1] == 0

        await async_wait_until(is_free)
        assert registry._parts.breakers.of("llm", "p").in_flight == 0
        steps += 1
    assert steps > 1


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("mode", MODES)
def test_an_event_loop_that_is_closed_leaves_nothing_taken(
    real_url: str, mode: str, state: str
) -> None:
    assert run("closes_its_event_loop", real_url, mode, state) == QUIETLY


@pytest.mark.parametrize("mode", MODES)
def test_a_process_that_is_killed_leaves_nothing_taken_for_longer_than_its_lease(
    fleet: Callable[..., Team], shared: SharedState, mode: str
) -> None:
    two = fleet(2, consistency=mode, lease=1.0)
    two[0].run(held_probe.hold)
    assert len(shared.permits()) == 1
    two[0].signal(signal.SIGKILL)
    assert two[1].run(held_probe.enter) == "half_open"
    wait_until(lambda: two[1].run(held_probe.enter) is True)
    assert shared.permits() == {}
