"""The soak: whether memory and keys stay the same however many calls are made."""

from __future__ import annotations

from ciris_registry.bench.soak.runner import run_soak

__all__ = ["run_soak"]
