"""What ``ciris-registry status`` shows."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import redis.asyncio

from ciris_registry import (
    CircuitBreakerConfig,
    Priority,
    RegistrySettings,
    SelectionStrategy,
    ServiceRegistry,
)
from ciris_registry.store import host_name
from tests.unit.cli_run import ciris
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEYS = "ciris:v2:{default/0}:llm"
LEASES = "ciris:v2:{default/0}:leases"


@pytest.fixture
async def registry(real_url: str) -> AsyncIterator[ServiceRegistry]:
    """A registry without a watcher, so that expired members stay until a test looks."""
    settings = RegistrySettings(write_timeout=1.0)
    async with ServiceRegistry(url=real_url, settings=settings, consistency="exact") as registry:
        yield registry


@pytest.fixture
async def client(real_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(real_url, decode_responses=True) as client:
        yield client


async def status(url: str, *words: str) -> dict[str, Any]:
    result = await ciris("status", "--json", *words, url=url)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


async def llm(url: str) -> dict[str, Any]:
    (found,) = (await status(url, "--type", "llm"))["service_types"]
    assert isinstance(found, dict)
    return found


async def words_of(registry: ServiceRegistry, url: str) -> str:
    """The line of the one breaker there is."""
    await registry.flush()
    result = await ciris("status", url=url)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("BREAKER"))
    return " ".join(" ".join(lines[start + 1 :]).split())


async def test_an_empty_namespace_says_where_to_look(real_url: str) -> None:
    result = await ciris("status", "--namespace", "blue", url=real_url)
    assert result.exit_code == 0
    assert "Nothing is registered in namespace 'blue'" in result.stdout
    assert (await status(real_url))["service_types"] == []


async def test_an_unused_service_type_is_shown_with_those_in_use(
    registry: ServiceRegistry, real_url: str
) -> None:
    registry.register_global("llm", object(), name="one")
    await registry.flush()
    result = await ciris("status", "--type", "lllm", url=real_url)
    assert "Nothing is registered for service type 'lllm'" in result.stdout
    assert "in use: llm" in result.stdout


async def test_registrations_stand_in_the_order_of_a_resolve(
    registry: ServiceRegistry, real_url: str
) -> None:
    registry.register_global("llm", object(), Priority.LOW, name="low")
    registry.register_global("llm", object(), Priority.HIGH, ["chat", "tools"], name="high")
    registry.register_global(
        "llm",
        object(),
        priority_group=-1,
        strategy=SelectionStrategy.ROUND_ROBIN,
        metadata={"model": "m"},
        name="first-group",
    )
    registry.register("*", "llm", object(), name="all-handlers")
    registry.register("thinker", "llm", object(), name="own")
    await registry.flush()
    found = (await llm(real_url))["registrations"]
    assert [one["name"] for one in found] == ["own", "all-handlers", "first-group", "high", "low"]
    assert [one["handler"] for one in found][:3] == ["thinker", "*", "global"]
    assert found[3]["capabilities"] == ["chat", "tools"]
    assert found[2] == {
        "id": "first-group",
        "name": "first-group",
        "handler": "global",
        "priority": "NORMAL",
        "priority_group": -1,
        "strategy": "round_robin",
        "capabilities": [],
        "metadata": {"model": "m"},
        "weight": 1,
        "max_in_flight": None,
        "registered_by": registry.process_id,
        "registered_at": found[2]["registered_at"],
        "members": [
            {
                "process": registry.process_id,
                "host": host_name(),
                "pid": os.getpid(),
                "lease_left": pytest.approx(15, abs=5),
            }
        ],
    }
    table = (await ciris("status", url=real_url, columns=80)).stdout
    assert f"llm  5 providers, 1 process: {host_name()}:{os.getpid()}" in table
    assert "normal, group -1" in table
    assert "round robin" in table
    assert "chat, tools" in table
    assert all(len(line) <= 80 for line in table.splitlines())


async def test_json_has_the_same_keys_whatever_state_a_breaker_is_in(
    registry: ServiceRegistry, real_url: str
) -> None:
    registry.register_global("llm", object(), name="one")
    await registry.flush()
    seen: list[dict[str, Any]] = [await status(real_url)]
    handle = registry.breaker("llm", "one")
    for change in (handle.record_failure, lambda: handle.force_open("why", 5), handle.reset):
        change()
        await registry.flush()
        seen.append(await status(real_url))
    assert {tuple(found) for found in seen} == {
        ("url", "namespace", "in_use", "service_types", "damaged")
    }
    assert {tuple(found["service_types"][0]) for found in seen} == {
        ("service_type", "time", "registrations", "breakers", "damaged")
    }
    assert {tuple(found["service_types"][0]["breakers"][0]) for found in seen} == {
        (
            "name",
            "registered",
            "state",
            "refused",
            "retry_after",
            "consecutive_failures",
            "failure_threshold",
            "probe_successes",
            "success_threshold",
            "permits_out",
            "half_open_max_calls",
            "window_calls",
            "window_failures",
            "total_successes",
            "total_failures",
            "consecutive_openings",
            "generation",
            "opened_at",
            "recovery_left",
            "last_failure_at",
            "cooldown_left",
            "open_locally",
            "override",
        )
    }
    override = seen[2]["service_types"][0]["breakers"][0]["override"]
    assert set(override) == {"state", "reason", "actor", "until", "left"}
    assert (override["state"], override["reason"]) == ("open", "why")


async def test_a_breakers_state_is_shown_in_words(registry: ServiceRegistry, real_url: str) -> None:
    twice = CircuitBreakerConfig(failure_threshold=2, recovery_timeout=60.0)
    registry.register_global("llm", object(), name="one", circuit_breaker_config=twice)
    handle = registry.breaker("llm", "one")
    assert await words_of(registry, real_url) == "one closed 0/2 0/0 0 0"
    handle.record_success()
    handle.record_failure()
    assert await words_of(registry, real_url) == "one closed 1/2 1/2 1 1"
    handle.record_failure()
    await handle.acool_down(30, "429")
    assert "one cooling down, 30 s left (itself open" in await words_of(registry, real_url)
    handle.reset()
    await handle.aforce_open("deploying", 600)
    shown = await words_of(registry, real_url)
    assert "forced open, 10 m left" in shown
    assert f"by {registry.process_id}: deploying" in shown
    await handle.aforce_close()
    assert "forced closed, until it is cleared" in await words_of(registry, real_url)
    await handle.aclear_override()


async def test_a_local_trip_is_shown_with_its_process(
    registry: ServiceRegistry, client: redis.asyncio.Redis, real_url: str
) -> None:
    alone = CircuitBreakerConfig(
        failure_threshold=2, min_failing_processes=2, recovery_timeout=50.0
    )
    registry.register_global("llm", object(), name="one", circuit_breaker_config=alone)
    handle = registry.breaker("llm", "one")
    await handle.arecord_failure()
    await handle.arecord_failure()
    who = registry.process_id

    shown = await words_of(registry, real_url)
    assert f"one closed; open locally in 1 process: {who} for 50 s" in shown
    (found,) = (await llm(real_url))["breakers"]
    assert (found["state"], found["refused"]) == ("closed", None)
    (here,) = found["open_locally"]
    assert (here["process"], here["until"] > 0, 40 < here["left"] <= 50) == (who, True, True)
    result = await ciris("events", url=real_url)
    (line,) = [one for one in result.stdout.splitlines() if "breaker_tripped_locally" in one]
    assert "llm/one  2 failures in a row of its own  until=" in line
    assert line.endswith(f"by {who}")

    later = found["open_locally"][0]["until"]
    await client.zadd(f"{KEYS}:callers:one", {f"open|ghost-{n}": later for n in range(3)})
    assert "open locally in 1 process:" in await words_of(registry, real_url), "the others are gone"

    await handle.areset()
    await registry.flush()
    assert "one closed 0/2" in await words_of(registry, real_url)


async def test_an_open_breaker_is_shown_until_its_probes_have_succeeded(
    registry: ServiceRegistry, real_url: str
) -> None:
    quick = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=1.5, success_threshold=2)
    registry.register_global("llm", object(), name="one", circuit_breaker_config=quick)
    handle = registry.breaker("llm", "one")
    await handle.arecord_failure()
    assert "one open, retry in 2 s 1/1 1/1 0 1 since" in await words_of(registry, real_url)

    async def is_probed() -> bool:
        return "one open, next call probes" in await words_of(registry, real_url)

    await async_wait_until(is_probed)
    (found,) = (await llm(real_url))["breakers"]
    assert (found["state"], found["refused"], found["retry_after"]) == ("open", None, None)
    await handle.acheck_and_raise()
    shown = await words_of(registry, real_url)
    assert "one half open, 1 permit out" in shown
    assert "0 of 2 probes succeeded" in shown
    await handle.arecord_success()
    shown = await words_of(registry, real_url)
    assert "one half open, 0 permits out" in shown
    assert "1 of 2 probes succeeded" in shown
    await handle.acheck_and_raise()
    await handle.arecord_success()
    assert (await words_of(registry, real_url)).startswith("one closed")


async def test_nothing_is_changed_by_looking(registry: ServiceRegistry, real_url: str) -> None:
    registry.register_global("llm", object(), name="one")
    await registry.flush()
    async with redis.asyncio.Redis.from_url(real_url) as client:
        await client.zadd(LEASES, {"gone-1-abc": 1})
        await client.sadd(f"{KEYS}:holders:one", "gone-1-abc")
        before = {key: await client.dump(key) for key in await client.keys()}
        (found,) = (await llm(real_url))["registrations"]
        assert [one["process"] for one in found["members"]] == [registry.process_id]
        assert {key: await client.dump(key) for key in await client.keys()} == before


async def test_members_that_are_not_everywhere_are_named(
    registry: ServiceRegistry, real_url: str
) -> None:
    async with ServiceRegistry(url=real_url) as other:
        registry.register_global("llm", object(), name="shared")
        other.register_global("llm", object(), name="shared")
        other.register_global("llm", object(), name="private")
        await registry.flush()
        await other.flush()
        lines = (await ciris("status", url=real_url)).stdout.splitlines()
    assert lines[0].startswith("llm  2 providers, 2 processes: ")
    assert any(line.startswith("shared") and "all 2" in line for line in lines)
    here = f"{host_name()}:{os.getpid()}"
    assert any(line.startswith("private") and line.endswith(here) for line in map(str.strip, lines))


async def test_a_registration_whose_processes_are_all_gone_says_so(
    registry: ServiceRegistry, client: redis.asyncio.Redis, real_url: str
) -> None:
    registry.register_global("llm", object(), name="one")
    await registry.flush()
    await client.zadd(LEASES, {registry.process_id: 1})
    assert (await llm(real_url))["registrations"][0]["members"] == []
    assert "none alive" in (await ciris("status", url=real_url)).stdout


async def test_the_breaker_of_a_provider_that_is_gone_is_still_shown(
    registry: ServiceRegistry, real_url: str
) -> None:
    registry.register_global("llm", object(), name="one")
    await registry.breaker("llm", "one").aforce_open("broken", 60)
    await registry.aunregister("one")
    found = await llm(real_url)
    assert found["registrations"] == []
    assert (found["breakers"][0]["name"], found["breakers"][0]["registered"]) == ("one", False)
    shown = await words_of(registry, real_url)
    assert "forced open" in shown
    assert "not registered" in shown


async def test_a_process_without_a_readable_record_is_shown_by_its_id(
    registry: ServiceRegistry, client: redis.asyncio.Redis, real_url: str
) -> None:
    registry.register_global("llm", object(), name="one")
    await registry.flush()
    key = f"ciris:v2:{{default/0}}:process:{registry.process_id}"
    await client.delete(key)
    await client.set(key, "not a hash", ex=60)
    (found,) = (await llm(real_url))["registrations"]
    assert [(one["host"], one["pid"]) for one in found["members"]] == [("", None)]
    assert registry.process_id in (await ciris("status", url=real_url)).stdout


@pytest.mark.parametrize(
    ("key", "field", "shown"),
    [
        ("registration:bad", ("priority", "URGENT"), "registration bad: "),
        ("registration:bad", None, "registration bad: WRONGTYPE"),
        ("breaker:bad", ("state", "ajar"), "breaker bad: state is 'ajar'"),
        ("breaker:bad", ("failure_threshold", "many"), "breaker bad: invalid literal for int()"),
        ("breaker:bad", None, "breaker bad: WRONGTYPE"),
        ("permits:bad", None, "permits bad: "),
        ("events", None, "the key events: a key is damaged (WRONGTYPE"),
        ("registrations", None, "one of the keys registrations and meta: a key is"),
        ("meta", None, "one of the keys registrations and meta: a key is"),
    ],
)
async def test_a_damaged_record_is_a_line_and_the_rest_is_shown(
    key: str,
    field: tuple[str, str] | None,
    shown: str,
    real_url: str,
    client: redis.asyncio.Redis,
) -> None:
    registry = ServiceRegistry(url=real_url, consistency="exact")  # else it restores the breaker
    registry.register_global("llm", object(), name="bad")
    registry.register_global("llm", object(), name="good")
    registry.register_global("memory", object(), name="elsewhere")
    opened = CircuitBreakerConfig(failure_threshold=1)
    registry.register_global("llm", object(), name="bad", circuit_breaker_config=opened)
    registry.breaker("llm", "bad").record_failure()
    await registry.flush()
    if field is None:
        await client.delete(f"{KEYS}:{key}")
        await client.set(f"{KEYS}:{key}", "no such type", ex=60)
    else:
        await client.hset(f"{KEYS}:{key}", *field)
    result = await ciris("status", url=real_url, columns=200)
    found = await status(real_url)
    await client.delete(f"{KEYS}:{key}")
    await registry.aclose()
    await client.flushdb()
    assert result.exit_code == 0
    assert f"damaged: {shown}" in result.stdout
    assert not result.stderr
    assert "elsewhere" in result.stdout
    assert ("good" in result.stdout) is (key not in {"registrations", "meta"})
    assert any(damage["record"] in shown for damage in found["service_types"][0]["damaged"])


async def test_a_service_type_that_cannot_be_one_is_a_line(
    registry: ServiceRegistry, client: redis.asyncio.Redis, real_url: str
) -> None:
    registry.register_global("llm", object(), name="one")
    await registry.flush()
    await client.sadd("ciris:v2:{default/0}:types", "l}m")
    result = await ciris("status", url=real_url)
    assert "damaged: service type 'l}m'" in result.stdout
    assert "one" in result.stdout


async def test_what_stands_in_redis_cannot_steer_the_terminal(
    registry: ServiceRegistry, client: redis.asyncio.Redis, real_url: str
) -> None:
    registry.register_global(
        "llm", object(), name="one", capabilities=["[red]\x1b[2J", "two\nlines"]
    )
    await registry.breaker("llm", "one").aforce_open("\x1b]0;title\x07", 60)
    await client.hset(f"ciris:v2:{{default/0}}:process:{registry.process_id}", "host", "a\x1b[31mb")
    for words in (["status"], ["events"], ["status", "--json"], ["events", "--json"]):
        printed = (await ciris(*words, url=real_url)).stdout
        assert "\x1b" not in printed
        assert "\x07" not in printed
        assert words != ["status"] or "[red]\\x1b[2J, two\\nlines" in printed


async def test_all_partitions_are_read_and_acted_on(real_url: str) -> None:
    types = ("llm", "memory", "audit", "tool")
    async with ServiceRegistry(url=real_url, partitions=8) as registry:
        for kind in types:
            registry.register_global(kind, object(), name=f"of-{kind}")
        await registry.flush()

        status = json.loads((await ciris("status", "--json", url=real_url)).stdout)
        assert [one["service_type"] for one in status["service_types"]] == sorted(types)
        assert all(len(one["registrations"]) == 1 for one in status["service_types"])
        for kind in types:
            forced = await ciris("breaker", "force-open", kind, f"of-{kind}", url=real_url)
            assert "forced open" in forced.stdout, forced.stderr
        shown = await ciris("events", url=real_url)
        assert shown.stdout.count("forced_open") + shown.stdout.count("override") >= len(types)
        await registry.refresh()
        assert [await registry.get_service("h", kind) for kind in types] == [None] * len(types)
        for kind in types:
            await ciris("breaker", "clear-override", kind, f"of-{kind}", url=real_url)
