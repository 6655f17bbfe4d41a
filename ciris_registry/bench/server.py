"""The server of a run: a client for bare calls, and registries that use it.

Everything that a run writes lies in a namespace of its own. Its providers expire within two
minutes, its events within an hour.
"""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

from ciris_registry.local_fleet import new_private_server, wait_until_removed
from ciris_registry.registry import ServiceRegistry
from ciris_registry.settings import RegistrySettings
from ciris_registry.store.connection import Clients, StoreURL

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from redis.asyncio import Redis

SETTINGS: Final = RegistrySettings(retention=60.0, store_timeout=5.0)
"""The defaults, except that breakers expire within a minute, and that a machine that is busy with
measuring does not make the registry treat Redis as lost."""


class Server:
    """A server during a run; ``open_server`` makes one."""

    def __init__(self, url: str, client: Redis, shown: str, *, own: bool) -> None:
        self.url: Final = url
        self.shown: Final = shown
        """The URL without credentials."""

        self.own: Final = own
        """Whether the run started it."""

        self.namespace: Final = f"bench-{secrets.token_hex(4)}"
        # redis-py leaves half of its methods without types.
        self.client: Final[Any] = client

    def registry(self, consistency: Literal["cached", "exact"] = "cached") -> ServiceRegistry:
        """A registry of this run."""
        return new_registry(self.url, self.namespace, consistency)

    async def description(self) -> str:
        """Its name, version and URL."""
        info: dict[str, Any] = await self.client.info("server")
        name = info.get("server_name", "redis").capitalize()
        version = info.get("valkey_version") or info.get("redis_version", "of unknown version")
        return f"{name} {version}, {'a server of its own' if self.own else self.shown}"


def new_registry(
    url: str, namespace: str, consistency: Literal["cached", "exact"] = "cached"
) -> ServiceRegistry:
    """A registry with the settings that every process of the bench uses."""
    options: dict[str, Any] = {"consistency": consistency}
    return ServiceRegistry(url=url, namespace=namespace, settings=SETTINGS, **options)


@asynccontextmanager
async def open_server(url: str | None) -> AsyncGenerator[Server, None]:
    """The server of this URL, or an embedded one that ends with the context.

    Raises:
        RegistryError: It cannot be used.
    """
    if url:
        async with _connect(url, own=False) as server:
            yield server
        return
    embedded = new_private_server("ciris-bench")
    try:
        async with _connect(f"embedded://{quote(str(embedded.directory))}", own=True) as server:
            yield server
    finally:
        await wait_until_removed(embedded)


@asynccontextmanager
async def _connect(url: str, *, own: bool) -> AsyncGenerator[Server, None]:
    # Bare calls are made by the same kind of client as the registry's.
    clients = Clients(StoreURL.parse(url))
    try:
        client = await clients.client()
        try:
            yield Server(url, client, clients.url.redacted, own=own)
        finally:
            with suppress(OSError):
                await client.aclose()
    finally:
        clients.release()
