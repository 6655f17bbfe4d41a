"""The bench: what the registry costs at one place, measured in one run, with ratios and targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ciris_registry.bench.plan import Plan
    from ciris_registry.bench.results import Results

FEWEST_PROCESSES, MOST_PROCESSES = 1, 19
LEAST_SCALE, MOST_SCALE = 0.01, 10.0
QUICK: float = 0.15
"""The share of a full run that ``--quick`` does."""


def run(plan: Plan) -> Results:
    """Measure everything; a bar on stderr shows how far it is, where that is a terminal.

    Raises:
        BenchError: It cannot begin or go on.
        RegistryError: The server cannot be used.
    """
    from ciris_registry.bench.course import run_course  # noqa: PLC0415 # its processes need none of it

    return run_course(plan)
