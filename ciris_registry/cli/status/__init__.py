"""``ciris-registry status``: providers, their members and their breakers, as a table or JSON.

Data is gathered, by ``cli.reading``, before anything is formatted.
"""

from __future__ import annotations

from ciris_registry.cli.status.command import status

__all__ = ["status"]
