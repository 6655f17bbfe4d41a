"""An old master that comes back empty after a failover gets no write.

For about ten seconds it says that it is a master, and a sentinel that was cut off names it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ciris_registry import RegistrySettings, ServiceRegistry
from tests.servers import Sentinels
from tests.servers.ports import HOST
from tests.servers.sentinel import NAME, role_of
from tests.unit.store.connection.routing.node import Node
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from tests.servers.single import Server as OldMaster


def cut_off(master: OldMaster) -> Node:
    """A sentinel that knows of no failover."""
    address = f"*2\r\n${len(HOST)}\r\n{HOST}\r\n${len(str(master.port))}\r\n{master.port}"
    facts = "*2\r\n$12\r\nconfig-epoch\r\n$1\r\n0"
    return Node(lambda words: facts if words[1] == "MASTER" else address)


async def connected(registry: ServiceRegistry) -> None:
    await async_wait_until(lambda: registry.health().redis == "connected")


@pytest.mark.outage_run
@pytest.mark.parametrize("mode", ["cached", "exact"])
async def test_an_old_master_that_comes_back_empty_gets_no_write(mode: str) -> None:
    group = await asyncio.to_thread(Sentinels().__enter__)
    try:
        old = group.servers[0]
        async with cut_off(old) as stale:
            url = group.url.replace(f"/{NAME}", f",{stale.address}/{NAME}")
            settings = RegistrySettings(lease=1.0)
            async with ServiceRegistry(
                url=url, consistency="exact" if mode == "exact" else "cached", settings=settings
            ) as registry:
                registry.register_global("llm", object(), name="shared")
                await registry.flush()
                for _ in range(5):
                    await registry.breaker("llm", "shared").arecord_failure()

                old.kill()
                await asyncio.to_thread(group.wait_for_failover, old)
                await connected(registry)
                assert registry.breaker("llm", "shared").state == "open"

                await asyncio.to_thread(old.start)
                while role_of(old) == "master":
                    # A process that joins now asks for the master for the first time.
                    async with ServiceRegistry(url=url, settings=settings) as newcomer:
                        newcomer.register_global("llm", object(), name="other")
                        await newcomer.refresh("llm")
                        assert newcomer.breaker("llm", "shared").state == "open"
                    # And one that is there asks again.
                    (await registry._session.store()).renew_connection()
                    registry.breaker("llm", "shared").record_success()
                    await registry.flush()
                    if role_of(old) == "master":
                        assert await asyncio.to_thread(old.ask, "DBSIZE") == 0
                assert registry.breaker("llm", "shared").state == "open"
    finally:
        await asyncio.to_thread(group.__exit__, None, None, None)
