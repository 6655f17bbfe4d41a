"""Who has our keys: the one server of a URL, the master that sentinels name, the master of a slot.

That is asked whenever a connection opens. What is sent on a connection is not known here.
"""

from ciris_registry.store.connection.routing.address import Address
from ciris_registry.store.connection.routing.asking import ask
from ciris_registry.store.connection.routing.cluster import Cluster
from ciris_registry.store.connection.routing.names import (
    NamedConnection,
    NamedSSLConnection,
    Names,
)
from ciris_registry.store.connection.routing.redirects import Redirects
from ciris_registry.store.connection.routing.route import DirectRoute, Route
from ciris_registry.store.connection.routing.sentinel import Sentinels

__all__ = [
    "Address",
    "Cluster",
    "DirectRoute",
    "NamedConnection",
    "NamedSSLConnection",
    "Names",
    "Redirects",
    "Route",
    "Sentinels",
    "ask",
]
