"""A password changes while registries run: no call fails, and the next connection uses the new."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from redis.credentials import CredentialProvider

from ciris_registry import ServiceRegistry
from tests.servers import Cluster, Server
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


class Vault(CredentialProvider):
    """Keeps the password that is right now, and counts how often it was asked for."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        return self.password

    def get_credentials(self) -> tuple[str, str]:
        return "ada", self()


async def survives_rotation(registry: ServiceRegistry, vault: Vault, *servers: Server) -> None:
    """Change the user's password, and close the connections of all clients, as a service does."""

    async def call(_: object) -> str:
        return "done"

    registry.register_global("llm", object(), name="shared")
    await registry.flush()
    asked = vault.asked
    vault.password = "second"
    for server in servers:
        server.ask("ACL", "SETUSER", "ada", "resetpass", ">second")
        server.ask("CLIENT", "KILL", "USER", "ada")
    for _ in range(50):
        assert await registry.call("h", "llm", call) == "done"
        await asyncio.sleep(0.002)
    await async_wait_until(lambda: vault.asked > asked)
    await async_wait_until(lambda: registry.health().redis == "connected")
    await registry.flush()
    assert registry.health().error == ""


@pytest.mark.parametrize("form", ["a function", "a provider"])
async def test_a_running_registry_survives_a_new_password(form: str) -> None:
    with Server() as server:
        server.ask("ACL", "SETUSER", "ada", "on", ">first", "~*", "&*", "+@all")
        server.ask("ACL", "SETUSER", "default", "on", "nopass")
        vault = Vault("first")
        if form == "a provider":
            url, password = f"redis://{server.address}", vault
        else:
            function: Callable[[], str] = lambda: vault()  # noqa: E731, PLW0108 # no provider
            url, password = f"redis://ada@{server.address}", function  # type: ignore[assignment]
        async with ServiceRegistry(url=url, password=password) as registry:
            await survives_rotation(registry, vault, server)


@pytest.mark.outage_run
async def test_a_running_registry_on_a_cluster_survives_a_new_password() -> None:
    with Cluster() as cluster:
        for node in cluster.nodes:
            node.ask("ACL", "SETUSER", "ada", "on", ">first", "~*", "&*", "+@all")
        vault = Vault("first")
        async with ServiceRegistry(url=cluster.url, password=vault) as registry:
            await survives_rotation(registry, vault, *cluster.nodes)
