"""``ciris-registry dev bench``: it measures everything in its list. No time is asserted here."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ciris_registry import Priority, ServiceRegistry
from ciris_registry.bench.measurements.command_count import CLIENT_SENT
from ciris_registry.bench.measurements.comparison import Timings
from ciris_registry.bench.measurements.interlock_call import beside_interlock, interlock_call
from ciris_registry.bench.reference import ReferenceRegistry
from ciris_registry.bench.report import Measurement, Results
from ciris_registry.local_fleet import Child
from ciris_registry.store.scripts import load_scripts
from tests.unit.cli_run import ciris

if TYPE_CHECKING:
    from pathlib import Path


TINY = ("dev", "bench", "--scale", "0.01", "--processes", "2")

MEASURED = [
    "bare_evalsha",
    "bare_evalsha_64",
    "exact_resolve",
    "exact_call",
    "exact_resolve_64",
    "reference",
    "cached_resolve",
    "cached_resolve_100",
    "guarded_outcome",
    "guarded_call",
    "cached_call",
    "guarded_commands",
    "round_robin_trips",
    "round_robin_share",
    "propagation_p50",
    "propagation_p99",
    "memory_redis_keys",
    "memory_redis_used",
    "memory_process",
]


@pytest.fixture(scope="session")
def real_server(private_server: str) -> str:
    """A server of this test process's own, since its memory is measured."""
    return private_server


async def test_a_run_measures_everything_and_leaves_nothing_running(
    real_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []
    start = Child.start

    async def noted(name: str, module: str, *arguments: str) -> Child:
        worker = await start(name, module, *arguments)
        pids.append(worker.pid)
        return worker

    monkeypatch.setattr(Child, "start", noted)
    result = await ciris(*TINY, "--json", url=real_url)
    assert result.exit_code == 0, result.stderr
    assert not result.stderr  # no bar where there is no terminal
    found: dict[str, Any] = json.loads(result.stdout)
    assert [one["name"] for one in found["measurements"]] == MEASURED
    for one in found["measurements"]:
        figures = [one[each] for each in ("value", "ratio", "against_value", "target")]
        assert all(math.isfinite(each) for each in figures if each is not None), one
        assert one["value"] >= 0, one
        assert (one["met"] is None) == (one["target"] is None), one
    assert found["own_server"] is False
    assert len(pids) == found["processes"] == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What a run on a server of its own prints, and the picture that it draws."""
    folder = tmp_path_factory.mktemp("bench")
    picture = folder / "costs.svg"
    temporary = folder / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "COLUMNS": "160"}
    environment.pop("CIRIS_REGISTRY_URL", None)
    ran = subprocess.run(
        [sys.executable, "-m", "ciris_registry", *TINY, "--plot", str(picture)],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
        env=environment,
    )
    # matplotlib may keep its list of fonts there.
    assert not list(temporary.glob("ciris-*")), "a server's directory was left behind"
    return ran.stdout, picture


def test_the_table_says_in_words_whether_targets_are_met(drawn: tuple[str, Path]) -> None:
    lines = drawn[0].splitlines()
    rows = [line.split() for line in lines[1 : 1 + len(MEASURED)]]
    assert sum(row[-1] in {"met", "missed"} for row in rows) == 12
    assert "a server of its own" in lines[-1]


def test_the_picture_shows_every_target(drawn: tuple[str, Path]) -> None:
    picture = drawn[1].read_text(encoding="utf-8")
    assert picture.startswith("<?xml")
    assert "cached resolve, 5 providers" in picture


async def test_without_matplotlib_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = await ciris(*TINY, "--plot", str(tmp_path / "costs.png"))
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "pip install matplotlib" in result.stderr


async def _nothing(_: object) -> None:
    pass


async def test_a_cached_call_is_judged_beside_interlock() -> None:
    interlock = interlock_call(_nothing)
    assert interlock is not None
    for _ in range(10):
        await interlock.call(None)
    # The machine became slower after the second round, for both.
    timings = Timings({"call": [5e-6, 5e-6, 14e-6], "interlock": [10e-6, 10e-6, 20e-6]})
    assert (beside_interlock(timings, interlock).ratio, interlock.version > "2") == (0.5, True)
    assert beside_interlock(timings, interlock).met is True
    slower = Timings({"call": [8e-6], "interlock": [10e-6]})
    assert beside_interlock(slower, interlock).met is False


def test_without_interlock_a_cached_call_is_not_judged_and_the_note_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "interlock", None)
    interlock = interlock_call(_nothing)
    assert interlock is None
    measured = beside_interlock(Timings({"call": [5e-6]}), interlock)
    assert (measured.met, measured.ratio) == (None, None)
    assert "pip install interlock-cb" in measured.note


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--processes", "0"], "use 1 to 19"),
        (["--processes", "20"], "use 1 to 19"),
        (["--scale", "0"], "use 0.01 to 10"),
        (["--scale", "nan"], "use 0.01 to 10"),
        (["--quick", "--scale", "1"], "one of --quick and --scale"),
        (["--plot", "costs.gif"], ".png"),
        (["--plot", "/not/there/costs.png"], "no directory"),
        (["--url", "memory://"], "private to each process"),
        (["--url", "redis://ada:sesame@127.0.0.1:1/0"], "127.0.0.1:1"),
        (["--url", "valkey://ada:sesame@127.0.0.1"], "scheme"),
    ],
)
async def test_what_cannot_be_measured_is_one_line(options: list[str], problem: str) -> None:
    result = await ciris("dev", "bench", *options)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert problem in result.stderr
    assert "sesame" not in result.stderr


@pytest.mark.parametrize(
    ("options", "value", "code"), [((), 2.0, 0), (("--check",), 2.0, 1), (("--check",), 1.0, 0)]
)
async def test_only_when_asked_to_check_does_a_missed_target_fail_the_command(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], value: float, code: int
) -> None:
    found = Results(
        server="one",
        own_server=True,
        python="3",
        machine="one",
        scale=1.0,
        processes=1,
        seconds=1.0,
        measurements=[Measurement(name="x", what="x", value=value, unit="s", target=1.5)],
    )
    monkeypatch.setattr("ciris_registry.cli.dev.bench.run", lambda *_: found)
    result = await ciris("dev", "bench", *options)
    assert result.exit_code == code
    assert ("missed" if value > 1.5 else "met") in result.stdout


@pytest.mark.parametrize(
    ("value", "ratio", "target", "at_least", "met", "share"),
    [
        (300.0, 1.2, 1.25, False, True, 0.96),
        (300.0, 1.3, 1.25, False, False, 1.04),
        (9000.0, 4.0, 3.2, True, True, 0.8),
        (9000.0, 2.0, 3.2, True, False, 1.6),
        (80.0, None, 60.0, False, False, 4 / 3),
        (80.0, None, None, False, None, None),
    ],
)
def test_a_target_bounds_the_ratio_and_without_one_the_figure(
    value: float,
    ratio: float | None,
    target: float | None,
    at_least: bool,
    met: bool | None,
    share: float | None,
) -> None:
    one = Measurement(
        name="x", what="x", value=value, unit="µs", ratio=ratio, target=target, at_least=at_least
    )
    assert one.met is met
    assert one.share_of_target == pytest.approx(share)


ONCE_AT_THE_START = {"rights_check"}
"""Scripts that run before anything is counted."""


@pytest.mark.parametrize(
    "script",
    [one for one in load_scripts().values() if one.name not in ONCE_AT_THE_START],
    ids=lambda one: one.name,
)
def test_no_script_sends_what_is_counted_as_sent_by_clients(script: Any) -> None:
    sent = {f'"{name.partition("|")[0].upper()}"' for name in CLIENT_SENT}
    assert not [name for name in sent if name in script.text.upper()]


@pytest.mark.parametrize("broken", [(), ("a",), ("a", "b"), ("d", "f"), ("a", "b", "c", "d", "f")])
async def test_the_reference_chooses_as_the_registry_does(
    registry: ServiceRegistry, broken: tuple[str, ...]
) -> None:
    registrations: list[tuple[str, str | None, Priority, list[str], int]] = [
        ("a", "planner", Priority.NORMAL, ["chat", "tools"], 0),
        ("b", "planner", Priority.CRITICAL, ["chat"], 0),
        ("c", "planner", Priority.CRITICAL, ["chat", "tools"], 1),
        ("d", "planner", Priority.NORMAL, ["chat", "vision"], 0),
        ("e", "speaker", Priority.FALLBACK, ["chat"], 0),
        ("f", None, Priority.LOW, ["chat", "tools"], 0),
        ("g", None, Priority.HIGH, ["vision"], 2),
    ]
    reference = ReferenceRegistry()
    for name, handler, priority, capabilities, group in registrations:
        breaker = reference.register(handler, "llm", name, priority, capabilities, group)
        terms: dict[str, Any] = {
            "priority": priority,
            "capabilities": capabilities,
            "priority_group": group,
            "name": name,
        }
        if handler is None:
            registry.register_global("llm", name, **terms)
        else:
            registry.register(handler, "llm", name, **terms)
        for _ in range(5 if name in broken else 0):
            breaker.record_failure()
            await registry.breaker("llm", name).arecord_failure()
    for handler in ("planner", "speaker", "listener"):
        for required in (None, [], ["chat"], ["tools", "chat"], ["vision"], ["flight"]):
            for fallback in (True, False):
                request = (handler, "llm", required, fallback)
                expected = await reference.get_service(*request)
                assert await registry.get_service(*request) == expected, request
