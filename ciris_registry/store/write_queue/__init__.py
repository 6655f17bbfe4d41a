"""The write-behind queue: writes of synchronous methods, in their order, and those set aside.

Sends by the methods of the store; knows no script.
"""

from ciris_registry.store.write_queue.unflushed import flush_all
from ciris_registry.store.write_queue.write_queue import WriteQueue

__all__ = ["WriteQueue", "flush_all"]
