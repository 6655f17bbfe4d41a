"""The partitions of one namespace, each with all parts that use it, and which one a call goes to.

Assembles the parts. Decides nothing about providers, and sends nothing by itself.
"""

from ciris_registry.partitions.partition import Partition
from ciris_registry.partitions.partitions import Partitions, partitions_of

__all__ = ["Partition", "Partitions", "partitions_of"]
