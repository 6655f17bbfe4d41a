"""A service type is read whole at one version, by plain commands, whatever its keys hold."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import NoPermissionError, TryAgainError

from ciris_registry.errors import AccessDeniedError
from ciris_registry.store import NOTHING, Store

if TYPE_CHECKING:
    from ciris_registry import ServiceRegistry
    from ciris_registry.store import Loaded, Version
    from ciris_registry.store.keys import TypeKeys

LEASE = 60_000
CALLERS = 64
"""So many callers of a breaker are read at most."""


class Loading:
    """One registry's store, with a provider ``openai`` of type ``llm``."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.keys: TypeKeys = store.keys("llm")

    async def run(self, command: str, key: str, *rest: str | int) -> None:
        """Write a key, which expires: every key that a test leaves must."""
        await self.store._transport.ask(command, key, *rest)
        await self.store._transport.ask("PEXPIRE", key, LEASE)

    async def version(self) -> Version:
        synced = await self.store.snapshots.sync("llm", NOTHING, {})
        return synced.changed[0] if synced.changed is not None else NOTHING

    async def load(self, *names: str, version: Version | None = None) -> Loaded:
        version = version or await self.version()
        loaded = await self.store.snapshots.load("llm", version, names, names)
        assert loaded is not None
        return loaded

    async def leases(self, deadlines: dict[str, int]) -> None:
        for process, deadline in deadlines.items():
            await self.run("ZADD", self.store._calls.partition.leases, deadline, process)


@pytest.fixture
async def loading(registry: ServiceRegistry) -> Loading:
    registry.register_global("llm", object(), name="openai")
    await registry.start()
    await registry.flush()
    return Loading(await registry._session.store())


async def now_of(loading: Loading) -> int:
    return (await loading.load()).now


async def test_each_key_is_read_to_its_place(loading: Loading) -> None:
    now = await now_of(loading)
    await loading.run("HSET", loading.keys.breaker("openai"), "state", "half_open")
    await loading.run("ZADD", loading.keys.permits("openai"), now + 7, "A|1")
    await loading.run("ZADD", loading.keys.callers("openai"), now + 9, "failed|A")
    await loading.leases({"A": now + LEASE})

    loaded = await loading.load("openai", "unknown")

    assert loaded.records["openai"]["name"] == "openai"
    assert loaded.breakers["openai"]["state"] == "half_open"
    assert loaded.permits == {"openai": {"A|1": now + 7}, "unknown": {}}
    assert loaded.callers == {"openai": {"failed|A": now + 9}, "unknown": {}}
    assert loaded.records["unknown"] == loaded.breakers["unknown"] == {}
    assert now <= loaded.now <= now + LEASE


async def test_data_that_began_anew_are_refused(loading: Loading) -> None:
    epoch, revision = await loading.version()

    for version in ((epoch, str(int(revision) + 1)), (str(int(epoch) - 1), revision), NOTHING):
        assert await loading.store.snapshots.load("llm", version, ["openai"], []) is None


async def test_a_later_version_is_marked(loading: Loading) -> None:
    version = await loading.version()
    assert not (await loading.load("openai", version=version)).moved

    await loading.run("HINCRBY", loading.keys.meta, "revision", 1)

    loaded = await loading.load("openai", version=version)
    assert loaded.moved
    assert loaded.records["openai"]["name"] == "openai"


async def test_an_unknown_service_type_can_be_loaded(loading: Loading) -> None:
    loaded = await loading.store.snapshots.load("other", NOTHING, [], [])

    assert loaded is not None
    assert (loaded.records, loaded.breakers) == ({}, {})


async def test_a_change_during_a_long_load_is_noticed(loading: Loading) -> None:
    version = await loading.version()
    ask_each, sent = loading.store._transport.ask_each, []

    async def slow(commands: Any, **options: Any) -> list[Any]:
        sent.append(len(commands))
        if len(sent) == 2:
            await loading.run("HINCRBY", loading.keys.meta, "revision", 1)
        return await ask_each(commands, **options)

    loading.store._transport.ask_each = slow  # type: ignore[method-assign]
    names = [f"p{n}" for n in range(4_000)]

    loaded = await loading.store.snapshots.load("llm", version, names, names)

    assert loaded is not None
    assert loaded.moved
    assert len(sent) > 2
    assert max(sent) < 4_000
    assert len(loaded.records) == len(loaded.breakers) == len(names)


async def test_in_a_cluster_the_version_is_read_after_everything_else(loading: Loading) -> None:
    transport, sent = loading.store._transport, list[Any]()
    ask_each, transport.in_order = transport.ask_each, False

    async def record(commands: Any, **options: Any) -> list[Any]:
        sent.append([one[0] for one in commands])
        return await ask_each(commands, **options)

    transport.ask_each = record  # type: ignore[method-assign]
    await loading.load("openai")

    assert sent == [["TIME", "HGETALL", "HGETALL", "ZRANGE", "ZREVRANGE"], ["HMGET"]]


async def test_a_permit_ends_with_the_lease_of_its_process(loading: Loading) -> None:
    now = await now_of(loading)
    deadlines = {"A|1": now + 2 * LEASE, "A|2": now + 7, "C|1": now + 8, "D": now + 9}
    await loading.leases({"A": now + LEASE})
    for permit, deadline in deadlines.items():
        await loading.run("ZADD", loading.keys.permits("openai"), deadline, permit)

    loaded = await loading.load("openai")

    expected = {"A|1": now + LEASE, "A|2": now + 7, "C|1": 0, "D": 0}
    assert loaded.permits["openai"] == expected


@pytest.mark.parametrize("damage", ["deleted", "another type"])
async def test_permits_without_leases_have_ended(loading: Loading, damage: str) -> None:
    leases = loading.store._calls.partition.leases
    await loading.run("ZADD", loading.keys.permits("openai"), await now_of(loading) + 7, "A|1")
    await loading.run("DEL", leases)
    if damage == "another type":
        await loading.run("SET", leases, "not ours")

    assert (await loading.load("openai")).permits["openai"] == {"A|1": 0}


async def test_of_many_callers_the_newest_are_read(loading: Loading) -> None:
    for n in range(CALLERS + 10):
        await loading.run("ZADD", loading.keys.callers("openai"), n, f"called|p{n}")

    callers = (await loading.load("openai")).callers["openai"]

    assert callers == {f"called|p{n}": n for n in range(10, CALLERS + 10)}


async def test_a_key_of_another_type_is_marked_as_damaged_and_affects_no_other(
    loading: Loading,
) -> None:
    keys = loading.keys
    for key in (keys.breaker("openai"), keys.permits("openai"), keys.callers("openai")):
        await loading.run("SET", key, "not what it should be")
    await loading.run("DEL", keys.breaker("openai"))
    await loading.run("SET", keys.breaker("openai"), "not what it should be")
    await loading.run("SET", keys.registration("claude"), "not what it should be")

    loaded = await loading.load("openai", "claude")

    assert loaded.records["openai"]["name"] == "openai"
    for damaged in (loaded.records["claude"], loaded.breakers["openai"]):
        assert list(damaged) == ["damaged"]
        assert damaged["damaged"].startswith("WRONGTYPE")
    assert loaded.permits["openai"] == loaded.callers["openai"] == {}


async def test_a_damaged_version_is_no_version(loading: Loading) -> None:
    version = await loading.version()
    await loading.run("SET", loading.keys.meta, "not what it should be")

    assert await loading.store.snapshots.load("llm", version, ["openai"], []) is None


class Refusing:
    """Answers one command in ten with an error, so many times; the others well."""

    def __init__(self, loading: Loading, error: Exception, times: int) -> None:
        self._connection = loading.store._transport._connection
        self._ask_each = self._connection.ask_each
        self._error = error
        self.left = times
        self._connection.ask_each = self._answer  # type: ignore[method-assign]

    async def _answer(self, packed: Any) -> list[Any]:
        replies = await self._ask_each(packed)
        if self.left > 0:
            self.left -= 1
            replies[1] = self._error
        return replies


async def test_a_slot_on_its_way_is_asked_again(loading: Loading) -> None:
    version = await loading.version()
    refusing = Refusing(loading, TryAgainError("TRYAGAIN Multiple keys"), 2)

    loaded = await loading.load("openai", version=version)

    assert refusing.left == 0
    assert loaded.records["openai"]["name"] == "openai"


async def test_a_right_that_is_missing_is_an_error(loading: Loading) -> None:
    version = await loading.version()
    Refusing(loading, NoPermissionError("user has no permissions to run the 'hgetall' command"), 1)

    with pytest.raises(AccessDeniedError, match=r"\+hgetall"):
        await loading.load("openai", version=version)


async def test_a_load_that_is_cancelled_leaves_the_connection_usable(loading: Loading) -> None:
    version = await loading.version()
    task = asyncio.create_task(loading.load("openai", version=version))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (await loading.load("openai", version=version)).records["openai"]["name"] == "openai"
