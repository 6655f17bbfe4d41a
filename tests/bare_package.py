"""Imports modules of the package without the slow ``__init__`` of their rooms."""

from __future__ import annotations

import importlib.util
import sys

_ROOMS = ("ciris_registry", "ciris_registry.store", "ciris_registry.store.connection")


def skip_init() -> None:
    """Make the rooms of the embedded server known as packages whose ``__init__`` does nothing."""
    for room in _ROOMS:
        spec = importlib.util.find_spec(room)
        assert spec is not None
        sys.modules[room] = importlib.util.module_from_spec(spec)
