"""``ciris-registry dev soak``: memory and keys at the end are compared with those after 10 %."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ciris_registry.bench.report import Results
from ciris_registry.bench.soak.footprint import Footprint
from ciris_registry.bench.soak.runner import LIMITS, judged
from tests.unit.cli_run import ciris

FEW = ("dev", "soak", "--calls", "20000")


@pytest.mark.long_run
async def test_keys_and_what_is_in_them_end_where_they_were_after_ten_percent() -> None:
    result = await ciris(*FEW, "--json")
    assert result.exit_code == 0, result.stderr
    assert not result.stderr  # no bar where there is no terminal, and nothing to warn of
    found: dict[str, dict[str, Any]] = {
        one["name"]: one for one in json.loads(result.stdout)["measurements"]
    }
    assert list(found) == ["soak_calls", *(f"soak_{one.name}" for one in LIMITS)]
    assert 20_000 <= found["soak_calls"]["value"] < 22_000
    for name in ("soak_keys", "soak_entries"):
        assert found[name]["met"], found[name]
    for one in LIMITS:
        assert len(found[f"soak_{one.name}"]["note"].split(",")) == 10


@pytest.mark.parametrize(
    ("grown", "missed"),
    [
        ({}, []),
        ({"process": 14_000_000}, []),  # little, beside what Python needs for itself
        ({"process": 16_000_000}, ["soak_process"]),
        ({"objects": 1101, "server": 2_900_000}, ["soak_objects"]),
        ({"keys": 41}, ["soak_keys"]),
        ({"keys": 39, "entries": 99}, []),
        ({"server": 3_100_000, "entries": 111}, ["soak_entries", "soak_server"]),
    ],
)
def test_what_has_grown_is_named(grown: dict[str, int], missed: list[str]) -> None:
    first = {
        "process": 10_000_000,
        "objects": 1000,
        "keys": 40,
        "entries": 100,
        "server": 2_000_000,
    }
    between = {name: 9 * number for name, number in first.items()}
    samples = [Footprint(**one) for one in (first, between, {**first, **grown})]
    assert [one.name for one in (judged(one, samples) for one in LIMITS) if not one.met] == missed


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--check",), 1)])
async def test_only_when_asked_to_check_does_growth_fail_the_command(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], code: int
) -> None:
    samples = [Footprint(1, 1, 1, 1, 1), Footprint(1, 1, 2, 1, 1)]
    found = Results(
        server="one",
        own_server=True,
        python="3",
        machine="one",
        scale=1.0,
        processes=1,
        seconds=1.0,
        measurements=[judged(one, samples) for one in LIMITS],
    )
    monkeypatch.setattr("ciris_registry.cli.dev.soak.run_soak", lambda _: found)
    result = await ciris("dev", "soak", *options)
    assert result.exit_code == code
    assert result.stdout.count("missed") == 1


@pytest.mark.parametrize("calls", ["0", "19999", "1000000001"])
async def test_a_number_of_calls_that_proves_nothing_is_refused_in_one_line(calls: str) -> None:
    result = await ciris("dev", "soak", "--calls", calls)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "20,000" in result.stderr
