"""Compares the server's time of one breaker script with that of the same script of a commit.

``python -m tests.server_time.breaker_scripts [commit]`` loads both into one private server, runs
them in alternating rounds, and prints the median of each and of the ratios of their rounds, with
the quartiles of these. The time is the server's processor time, which other programs on a busy
machine do not lengthen; reading the call and writing its reply are in it.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final

import redis

from ciris_registry import CircuitBreakerConfig
from ciris_registry.local_fleet import new_private_server, wait_until_removed
from ciris_registry.store.scripts import read_scripts
from tests.running import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ciris_registry.store.scripts import Script

BEFORE: Final = "41327a6"
ROUNDS: Final = 60
CALLS: Final = 200
"""In a round of each contender, all sent at once."""

FORMER_NAMES: Final = {
    "breaker_record_successes": "breaker_tally",
    "callers": "reporters",
    "min_failing_processes": "min_reporters",
}


@dataclass(frozen=True)
class Case:
    """One kind of call: which script, how many callers the window has, and what is said."""

    what: str
    script: str
    callers: int
    args: Mapping[str, str | int]
    config: CircuitBreakerConfig


STAYS_CLOSED: Final = CircuitBreakerConfig(failure_threshold=1_000_000, minimum_calls=1_000_000)
RATE_REACHED: Final = CircuitBreakerConfig(failure_threshold=1_000_000, minimum_calls=1)
"""One process fails and others call, so each of its failures asks how many others have failed."""


def cases() -> list[Case]:
    """The four that have a target, and others that share their code."""
    few, many = 2, 1000
    found = [
        Case(f"a {outcome}", "breaker_record", callers, {"outcome": outcome}, STAYS_CLOSED)
        for outcome in ("success", "failure")
        for callers in (few, many)
    ]
    found += [
        Case("a failure at the rate", "breaker_record", callers, {"outcome": "failure"}, config)
        for callers, config in ((few, RATE_REACHED), (many, RATE_REACHED))
    ]
    found += [
        Case("a batch of successes", "breaker_record_successes", callers, {}, STAYS_CLOSED)
        for callers in (few, many)
    ]
    found.append(Case("an admission", "breaker_acquire", few, {}, STAYS_CLOSED))
    return found


class Contender:
    """The scripts of one commit, with a breaker of their own."""

    def __init__(self, client: Any, scripts: Mapping[str, Script], label: str) -> None:
        self._client = client
        self._scripts = scripts
        self._label = label
        self._former = "breaker_tally" in scripts

    def prepare(self, case: Case) -> tuple[str, list[str | int]]:
        """Make the breaker of a case; the call that is measured."""
        settings = {**case.config.fields(), "retention_ms": "3600000"}
        flat = [self._name(part) for pair in settings.items() for part in pair]
        configure = self._scripts["breaker_configure"]
        self._run(configure, {"mode": "explicit", "settings": flat})
        times = self._client.time()
        now = times[0] * 1000 + times[1] // 1000
        callers = {f"called|p{number}": now for number in range(case.callers)}
        self._client.zadd(self._key("callers"), callers)
        script = self._scripts[self._name(case.script)]
        return script.sha, self._values(script, case.args)

    def _run(self, script: Script, args: Mapping[str, Any]) -> None:
        self._client.eval(script.text, *self._values(script, args))

    def _values(self, script: Script, args: Mapping[str, Any]) -> list[str | int]:
        known: dict[str, Any] = {
            "provider": "openai",
            "process": "p0",
            "permit": "",
            "generation": "",
            "successes": 0,
            "age_ms": 0,
            "batch_generation": "",
            "lease_ms": 15_000,
            "counts": ["openai", 3, 5, ""],
            **args,
        }
        keys: dict[str, Any] = {name: self._key(name) for name in script.keys}
        if script.keys_variadic:
            keys["breakers"] = [self._key("breaker"), self._key("callers")]
        numkeys, values = script.arrange(keys, {name: known[name] for name in script.args})
        self._client.script_load(script.text)
        return [numkeys, *values]

    def _key(self, name: str) -> str:
        plain = next((new for new, old in FORMER_NAMES.items() if old == name), name)
        return f"{{{self._label}}}:{plain}"

    def _name(self, name: str) -> str:
        return FORMER_NAMES.get(name, name) if self._former else name


def microseconds(client: Any, sha: str, values: list[str | int]) -> float:
    """The server's time of one call, in a round of many."""
    pipe = client.pipeline(transaction=False)
    for _ in range(CALLS):
        pipe.evalsha(sha, *values)
    before = _processor_seconds(client)
    pipe.execute()
    return (_processor_seconds(client) - before) / CALLS * 1e6


def _processor_seconds(client: Any) -> float:
    used = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def compared(client: Any, before: Contender, after: Contender, case: Case) -> str:
    """The line of one case."""
    client.flushdb()
    one, other = before.prepare(case), after.prepare(case)
    ratios: list[float] = []
    times: tuple[list[float], list[float]] = [], []
    for number in range(ROUNDS):
        order = ((0, one), (1, other)) if number % 2 else ((1, other), (0, one))
        taken = {place: microseconds(client, *call) for place, call in order}
        times[0].append(taken[0])
        times[1].append(taken[1])
        ratios.append(taken[1] / taken[0])
    low, _, high = quantiles(ratios, n=4)
    return (
        f"{case.what} with {case.callers} callers: {median(times[0]):.1f} -> "
        f"{median(times[1]):.1f} µs, ratio {median(ratios):.2f} ({low:.2f} to {high:.2f})\n"
    )


def scripts_of(commit: str, folder: Path) -> Mapping[str, Script]:
    """The scripts as a commit has them."""
    git = shutil.which("git") or "git"
    packed = subprocess.run(
        [git, "archive", commit, "lua"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return read_scripts(folder / "lua")


async def main() -> None:
    """Print one line for each case."""
    commit = sys.argv[1] if len(sys.argv) > 1 else BEFORE
    server = new_private_server("ciris-server-time")
    socket = server.acquire()
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            redis.Redis(unix_socket_path=str(socket), decode_responses=True) as client,
        ):
            before = Contender(client, scripts_of(commit, Path(folder)), "before")
            after = Contender(client, read_scripts(ROOT / "lua"), "after")
            for case in cases():
                sys.stdout.write(compared(client, before, after, case))
                sys.stdout.flush()
    finally:
        server.release()
        await wait_until_removed(server)


if __name__ == "__main__":
    asyncio.run(main())
