"""Forks while it follows events: the end of the child does not wake the loop of the parent.

Argument: the URL.
"""

from __future__ import annotations

import asyncio
import os
import sys

from ciris_registry import RegistrySettings, ServiceRegistry

QUICK = RegistrySettings(store_timeout=5.0, write_timeout=1.0, max_staleness=1.0)


async def main(url: str) -> None:
    """Fork, and wait for the child."""
    async with ServiceRegistry(url=url, consistency="cached", settings=QUICK) as registry:
        registry.register("h", "llm", object(), name="shared")
        assert await registry.get_service("h", "llm") is not None
        await asyncio.sleep(0.1)
        woken = 0

        def waken(*_: object) -> None:
            nonlocal woken
            woken += 1

        loop = asyncio.get_running_loop()
        waken_really = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = waken  # type: ignore[method-assign,assignment] # it counts
        pid = os.fork()
        if pid == 0:
            os._exit(woken)
        _, status = os.waitpid(pid, 0)  # noqa: ASYNC222 # it ends at once
        loop.call_soon_threadsafe = waken_really  # type: ignore[method-assign]
        assert os.waitstatus_to_exitcode(status) == 0
        assert registry.health().ok


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
