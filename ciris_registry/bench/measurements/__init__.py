"""One module for each thing that is measured, and the tools that the measurements share.

A measurement takes a server or a fleet, a plan and a progress callback, and returns its figures.
"""

from __future__ import annotations

from ciris_registry.bench.measurements.cached_resolve import measure_cached_resolve
from ciris_registry.bench.measurements.calls import measure_calls
from ciris_registry.bench.measurements.exact_resolve import measure_exact_resolve
from ciris_registry.bench.measurements.memory import measure_memory
from ciris_registry.bench.measurements.propagation import measure_propagation
from ciris_registry.bench.measurements.round_robin import (
    measure_round_robin_commands,
    measure_round_robin_shares,
)
from ciris_registry.bench.plan import Progress

__all__ = [
    "Progress",
    "measure_cached_resolve",
    "measure_calls",
    "measure_exact_resolve",
    "measure_memory",
    "measure_propagation",
    "measure_round_robin_commands",
    "measure_round_robin_shares",
]
