"""Makes a client of a Redis URL: neither fakeredis nor its Lua are imported for it."""

from __future__ import annotations

import asyncio
import sys

from ciris_registry.store.connection.clients import Clients
from ciris_registry.store.connection.url import StoreURL

if __name__ == "__main__":
    asyncio.run(Clients(StoreURL.parse("redis://db")).client())
    assert "fakeredis" not in sys.modules
    assert "lupa" not in sys.modules
