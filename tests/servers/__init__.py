"""Real servers as processes of a test: one server, a cluster, and a master behind sentinels.

Each class is a context manager: it starts its servers in folders of their own on free ports, waits
until they are ready, and in the end kills them and removes the folders. All methods block, so an
event loop calls them with ``asyncio.to_thread``.
"""

from tests.servers.cluster import Cluster
from tests.servers.sentinel import Sentinels
from tests.servers.single import Server

__all__ = ["Cluster", "Sentinels", "Server"]
