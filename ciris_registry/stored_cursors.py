"""Cursors as Redis has them: the positions of the fleet's round robins.

Owns the script that moves one. It refuses to know whose turn a position is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ciris_registry.script_calls import ScriptCalls


class StoredCursors:
    """The cursors of one namespace. A ``snapshot_sync`` can take steps of them too."""

    def __init__(self, calls: ScriptCalls) -> None:
        self._calls = calls

    async def take(self, service_type: str, cursor: str, steps: int) -> int:
        """Take the next positions of a round robin; the first of them. 0 steps only look."""
        calls = self._calls
        reply = await calls.run(
            "cursor_take", service_type, cursor=cursor, steps=steps, retention_ms=calls.retention
        )
        return int(reply[1])
