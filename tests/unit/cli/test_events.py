"""The events as an operator reads them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from ciris_registry import RegistrySettings, ServiceRegistry
from tests.unit.cli_run import ciris

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def registry(real_url: str) -> AsyncIterator[ServiceRegistry]:
    async with ServiceRegistry(
        url=real_url, settings=RegistrySettings(write_timeout=1.0)
    ) as registry:
        yield registry


async def printed(url: str, *words: str) -> list[str]:
    result = await ciris("events", *words, url=url)
    assert result.exit_code == 0, result.stderr
    return result.stdout.splitlines()


async def test_events_of_all_service_types_stand_in_the_order_of_time(
    registry: ServiceRegistry, real_url: str
) -> None:
    for number in range(4):
        registry.register_global(f"type-{number % 2}", object(), name=f"p{number}")
        await registry.flush()
        await asyncio.sleep(0.002)  # ids of two streams are comparable to the millisecond
    events = [json.loads(line) for line in await printed(real_url, "--json")]
    events = [one for one in events if one["service_type"]]  # else it is about a process
    assert [one["provider"] for one in events] == ["p0", "p1", "p2", "p3"]
    assert [one["service_type"] for one in events] == ["type-0", "type-1"] * 2
    assert list(events[0]) == [
        "at",
        "id",
        "service_type",
        "kind",
        "provider",
        "actor",
        "reason",
        "details",
    ]
    lines = [line for line in await printed(real_url) if "process_joined" not in line]
    assert ["type-0/p0" in lines[0], "type-1/p3" in lines[3]] == [True, True]
    assert all("provider_registered" in line and registry.process_id in line for line in lines)


async def test_last_counts_over_all_service_types(registry: ServiceRegistry, real_url: str) -> None:
    for number in range(30):
        registry.register_global(f"type-{number % 3}", object(), name=f"p{number}")
    await registry.flush()
    assert len(await printed(real_url)) == 20
    # Each service type is one call, in which its registrations keep their order.
    assert [line.split()[3] for line in await printed(real_url, "--last", "2")] == [
        "type-2/p26",
        "type-2/p29",
    ]
    assert len(await printed(real_url, "--last", "0")) == 0
    assert len(await printed(real_url, "--last", "99", "--type", "type-1")) == 10


async def test_a_line_shows_the_actor_the_reason_and_the_end(
    registry: ServiceRegistry, real_url: str
) -> None:
    registry.register_global("llm", object(), name="one")
    await registry.breaker("llm", "one").aforce_open("deploying", 60)
    registry.register_global("llm", object(), name="one", capabilities=["chat"])
    await registry.flush()
    forced, changed = await printed(real_url, "--last", "2")
    assert "breaker_forced_open" in forced
    assert "llm/one  deploying  until=" in forced
    assert forced.endswith(f"by {registry.process_id}")
    assert "fields=capabilities" in changed


async def test_an_empty_stream_is_noted_on_stderr(real_url: str) -> None:
    result = await ciris("events", url=real_url)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no events yet" in result.stderr


async def test_entries_written_by_hand_are_lines_too(
    registry: ServiceRegistry, real_url: str
) -> None:
    registry.register_global("llm", object(), name="one")
    registry.register_global("memory", object(), name="two")
    await registry.flush()
    async with redis.asyncio.Redis.from_url(real_url) as client:
        key = "ciris:v2:{default/0}:llm:events"
        await client.xadd(key, {"colour": "red"})
        await client.xadd(key, {"kind": "x\ny", "until": "9" * 30}, id="18446744073709551615-1")
        lines = await printed(real_url)
        assert "colour=red" in lines[-2]
        assert "x\\ny" in lines[-1]
        await client.delete(key)
        await client.set(key, "no stream", ex=60)
        result = await ciris("events", url=real_url)
        assert "memory/two" in result.stdout
        assert "the events of llm cannot be read" in result.stderr
        await client.delete(key)
        await registry.aclose()
        await client.flushdb()
