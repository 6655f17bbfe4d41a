"""An override from the command line takes effect in running agent processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING

from tests.fleet.agent import Fleet
from tests.fleet.work import overrides, providers, registries

if TYPE_CHECKING:
    from collections.abc import Iterator


def command(url: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ciris_registry", *words],
        env={**os.environ, "CIRIS_REGISTRY_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(url: str, *words: str) -> str:
    with command(url, *words) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    return out


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    """The lines of its output; each comes within ten seconds."""
    lines: Queue[str] = Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)

    Thread(target=read, daemon=True).start()
    while True:
        yield lines.get(timeout=10)


def test_a_forced_breaker_takes_effect_in_every_process(real_url: str) -> None:
    with Fleet(real_url, 2) as fleet:
        fleet.all(providers.register_shared)
        assert fleet.all(registries.find, "thinker") == [True, True]
        run(
            real_url,
            "breaker",
            "force-open",
            "llm",
            "shared",
            "--reason",
            "deploying",
            "--for",
            "5m",
        )
        assert fleet.all(registries.find, "thinker") == [False, False]
        assert fleet.all(overrides.reason_refused) == ["forced_open"] * 2
        run(real_url, "breaker", "clear-override", "llm", "shared")
        assert fleet.all(registries.find, "thinker") == [True, True]


def test_events_are_followed_live_until_ctrl_c(real_url: str) -> None:
    with Fleet(real_url, 1) as fleet:
        fleet.all(providers.register_shared)
        follower = command(real_url, "events", "--follow")
        with follower:
            try:
                lines = (line for line in lines_of(follower) if "process_joined" not in line)
                assert "provider_registered" in next(lines)
                fleet.all(overrides.cause_events)
                assert "breaker_streak_warning" in next(lines)
                opened = next(lines)
                assert "breaker_opened" in opened
                assert "llm/shared  5 failures in a row" in opened
                assert "memory/new-type" in next(lines)
            finally:
                follower.send_signal(signal.SIGINT)
            _, err = follower.communicate(timeout=10)
            assert (follower.returncode, err) == (0, "")
