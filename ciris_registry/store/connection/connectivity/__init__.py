"""The connectivity of this process: whether Redis answers, how fast, and what it refuses.

Sends nothing, and does not reconnect.
"""

from ciris_registry.store.connection.connectivity.connectivity import (
    Connectivity,
    ConnectivityState,
)
from ciris_registry.store.connection.connectivity.refusals import Refusals
from ciris_registry.store.connection.connectivity.round_trip import RoundTrip

__all__ = ["Connectivity", "ConnectivityState", "Refusals", "RoundTrip"]
