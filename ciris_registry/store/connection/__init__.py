"""Connections to Redis: the store URL, clients, retries, connectivity, and the embedded server.

Sends commands, and reports whether Redis answers. What a script means is known above.
"""

from ciris_registry.store.connection.clients import Clients
from ciris_registry.store.connection.connectivity import (
    Connectivity,
    ConnectivityState,
    Refusals,
    RoundTrip,
)
from ciris_registry.store.connection.embedded import EmbeddedServer
from ciris_registry.store.connection.error_replies import no_answer
from ciris_registry.store.connection.pipelined import WaitInterruptedError, pack_script
from ciris_registry.store.connection.retry import backoff
from ciris_registry.store.connection.transport import Transport
from ciris_registry.store.connection.url import Password, StoreURL

__all__ = [
    "Clients",
    "Connectivity",
    "ConnectivityState",
    "EmbeddedServer",
    "Password",
    "Refusals",
    "RoundTrip",
    "StoreURL",
    "Transport",
    "WaitInterruptedError",
    "backoff",
    "no_answer",
    "pack_script",
]
