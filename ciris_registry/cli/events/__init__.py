"""``ciris-registry events``: the event streams of a namespace, as lines or JSON.

Events of all service types are merged in order of time. Reading changes nothing.
"""

from __future__ import annotations

from ciris_registry.cli.events.command import events

__all__ = ["events"]
