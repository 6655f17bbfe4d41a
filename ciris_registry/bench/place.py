"""Where a run is made: a server, a client for bare calls, and registries that use them.

Owns the server that is started when no URL is given, and how registries are made. What a run
writes lies in a namespace of its own; its providers expire within two minutes, its events within an
hour.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

from ciris_registry.bench.plan import BenchError
from ciris_registry.errors import InvalidURLError
from ciris_registry.registry import ServiceRegistry
from ciris_registry.settings import RegistrySettings
from ciris_registry.store.connection import Clients, StoreURL

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from redis.asyncio import Redis

SETTINGS: Final = RegistrySettings(retention=60.0, store_timeout=5.0)
"""As by default, but breakers do not stay for an hour, and a machine that is busy with measuring is
not taken for a Redis that is away: what a registry does then is another matter."""

_GONE: Final = 3.0
"""Seconds for an embedded server to be gone after its last user."""


class Place:
    """A server during a run; ``open_place`` makes one."""

    def __init__(self, url: str, client: Redis, shown: str, *, own: bool) -> None:
        self.url: Final = url
        self.shown: Final = shown
        """The URL without credentials."""

        self.own: Final = own
        self.namespace: Final = f"bench-{secrets.token_hex(4)}"
        # redis-py leaves half of its methods without types.
        self.client: Final[Any] = client

    def registry(self, consistency: Literal["cached", "exact"] = "cached") -> ServiceRegistry:
        """A registry of this run."""
        return new_registry(self.url, self.namespace, consistency)

    async def described(self) -> str:
        """What answers here, in words."""
        info: dict[str, Any] = await self.client.info("server")
        name = info.get("server_name", "redis").capitalize()
        version = info.get("valkey_version") or info.get("redis_version", "of unknown version")
        return f"{name} {version}, {'a server of its own' if self.own else self.shown}"


def new_registry(
    url: str, namespace: str, consistency: Literal["cached", "exact"] = "cached"
) -> ServiceRegistry:
    """A registry as every part and every process of the bench uses it."""
    options: dict[str, Any] = {"consistency": consistency}
    return ServiceRegistry(url=url, namespace=namespace, settings=SETTINGS, **options)


@asynccontextmanager
async def open_place(url: str | None) -> AsyncGenerator[Place, None]:
    """The server of this URL, or one of its own that goes with the context.

    Raises:
        RegistryError: It cannot be used.
    """
    directory = None if url else _new_directory()
    there = url or f"embedded://{quote(str(directory))}"
    # Bare calls are to be made by the same kind of client as the registry's.
    clients = Clients(StoreURL.parse(there))
    try:
        client = await clients.client()
        try:
            yield Place(there, client, clients.url.redacted, own=url is None)
        finally:
            with suppress(OSError):
                await client.aclose()
    finally:
        clients.release()
        deadline = time.monotonic() + _GONE
        while (  # noqa: ASYNC110 # of a file
            directory is not None and directory.exists() and time.monotonic() < deadline
        ):
            await asyncio.sleep(0.01)


def _new_directory() -> Path:
    """A directory that is not there yet, with room for a socket's name."""
    name = f"ciris-bench-{secrets.token_hex(3)}"
    for parent in (Path(tempfile.gettempdir()).resolve(), Path("/tmp")):  # noqa: S108 # it is private
        with suppress(InvalidURLError):
            StoreURL.parse(f"embedded://{quote(str(parent / name))}")
            return parent / name
    raise BenchError("no temporary directory has a path short enough for a socket")
