"""A streak opens a dead provider, a failure rate a sick one; a single failure opens neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry.circuit_breaker.config import CircuitBreakerConfig
from ciris_registry.store.keys import TypeKeys
from ciris_registry.store.scripts import load_scripts
from tests.fleet.modes import BOTH_MODES
from tests.fleet.work import breakers, providers, registries
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState


@BOTH_MODES
def test_a_provider_that_fails_every_second_call_opens_after_the_minimum(
    fleet: Callable[..., Team], shared: SharedState
) -> None:
    four = fleet(4)
    four.all(providers.register_shared)
    states: list[str] = []
    for turn in range(20):
        assert shared.state() == "closed"
        outcome = breakers.arecord_failure if turn % 2 == 0 else breakers.arecord_success
        states.append(four[turn % 4].run(outcome))
    assert states == ["closed"] * 19 + ["open"]
    [event] = shared.events("breaker_opened")
    assert event["reason"] == "10 of 20 calls failed within the window"
    wait_until(lambda: four.all(registries.find) == [False] * 4)


class Volume:
    """Records outcomes by the thousand, as many calls of the same script."""

    def __init__(self, client: Any, **settings: float) -> None:
        scripts = load_scripts()
        self._client = client
        self._keys = TypeKeys("default", "llm")
        self._record = scripts["breaker_record"]
        configure = scripts["breaker_configure"]
        fields = {**CircuitBreakerConfig(**settings).fields(), "retention_ms": "3600000"}  # type: ignore[arg-type]
        values = configure.arrange(
            self._keys.for_parameters(configure.keys, "shared"),
            {
                "provider": "shared",
                "process": "p",
                "mode": "default",
                "settings": [part for pair in fields.items() for part in pair],
            },
        )
        client.eval(configure.text, values[0], *values[1])
        client.script_load(self._record.text)

    def record(self, outcome: str, times: int) -> None:
        numkeys, values = self._record.arrange(
            self._keys.for_parameters(self._record.keys, "shared"),
            {
                "provider": "shared",
                "process": "p",
                "outcome": outcome,
                "permit": "",
                "generation": "",
                "successes": 0,
                "age_ms": 0,
                "batch_generation": "",
            },
        )
        connection = self._client.connection_pool.get_connection()
        [call] = connection.pack_command("EVALSHA", self._record.sha, numkeys, *values)
        # Reading a hundred thousand replies would take longer than making them.
        connection.send_command("CLIENT", "REPLY", "OFF")
        for start in range(0, times, 1000):
            connection.send_packed_command([call * min(1000, times - start)])
        connection.send_command("CLIENT", "REPLY", "ON")
        assert connection.read_response() == "OK"
        self._client.connection_pool.release(connection)

    def size(self) -> dict[str, int]:
        """The number of keys, fields and bytes in Redis."""
        keys = sorted(self._client.scan_iter())
        return {
            "keys": len(keys),
            "fields": self._client.hlen(self._keys.breaker("shared")),
            "bytes": sum(self._client.memory_usage(key, samples=0) for key in keys),
        }


def test_a_single_failure_among_ten_thousand_successes_opens_nothing(shared: SharedState) -> None:
    volume = Volume(shared.client)
    volume.record("success", 5000)
    volume.record("failure", 1)
    assert shared.state() == "closed"
    volume.record("success", 5000)
    breaker = shared.breaker()
    assert (breaker["state"], breaker["consecutive_failures"]) == ("closed", "0")
    assert (breaker["total_successes"], breaker["total_failures"]) == ("10000", "1")


@pytest.mark.parametrize(
    "thousands",
    [10, pytest.param(100, marks=[pytest.mark.long_run, pytest.mark.timeout(180)])],
)
def test_a_breaker_is_as_large_after_a_hundred_thousand_calls_as_after_a_hundred(
    shared: SharedState, thousands: int
) -> None:
    volume = Volume(shared.client, window=0.2)
    begin = shared.now()
    for part in range(10):
        wait_until(lambda due=begin + 25 * part: shared.now() >= due)  # type: ignore[misc]
        volume.record("success", 9)
        volume.record("failure", 1)
    small = volume.size()

    for _ in range(9):
        volume.record("success", (thousands * 1000 - 100) // 9 - 1)
        volume.record("failure", 1)
    large = volume.size()

    breaker = shared.breaker()
    assert int(breaker["total_successes"]) + int(breaker["total_failures"]) == thousands * 1000
    assert large["keys"] == small["keys"]
    assert large["fields"] == small["fields"]
    assert abs(large["bytes"] - small["bytes"]) <= 64, "only the numbers have more digits"
