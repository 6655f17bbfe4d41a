"""The worker processes of a run: started, sent commands, ended.

``fleet`` runs in the parent, ``worker`` in each child; ``messages`` is what they exchange.
"""

from __future__ import annotations

from ciris_registry.bench.fleet.fleet import Fleet
from ciris_registry.bench.fleet.messages import Answer, Command
from ciris_registry.bench.fleet.registrations import BREAKER, PROVIDER, WATCHED, join

__all__ = ["BREAKER", "PROVIDER", "WATCHED", "Answer", "Command", "Fleet", "join"]
