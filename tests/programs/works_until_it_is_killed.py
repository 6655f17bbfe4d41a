"""Forks a process for each line that it reads; each works until it is killed.

Arguments: the URL, and the lease. Prints the id of each process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

# Imported before the forks, which would each do it otherwise.
import redis.asyncio

from ciris_registry import CircuitBreakerConfig, RegistrySettings, ServiceRegistry

CONFIG = CircuitBreakerConfig(
    failure_threshold=1, recovery_timeout=0, success_threshold=1_000_000, timeout_duration=600
)


class Client:
    """A provider."""


async def work(url: str, lease: float) -> None:
    """Register, resolve, record and unregister, for ever."""
    assert redis.asyncio
    registry = ServiceRegistry(url=url, settings=RegistrySettings(lease=lease))
    handle = registry.breaker("llm", "shared")
    turn = 0
    while True:
        turn += 1
        own = registry.register("thinker", "llm", Client(), name=f"own-{turn % 3}")
        registry.register_global("llm", Client(), name="shared", circuit_breaker_config=CONFIG)
        if await registry.get_service("unknown", "llm") is not None:
            await handle.arecord_success()
        registry.breaker("llm", own).record_failure()
        await registry.get_service("thinker", "llm", fallback_to_global=False)
        await registry.aunregister(own)


def main(url: str, lease: str) -> None:
    """Fork for each line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            asyncio.run(work(url, float(lease)))
        print(child, flush=True)  # noqa: T201 # read by the test


if __name__ == "__main__":
    main(*sys.argv[1:])
