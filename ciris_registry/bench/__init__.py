"""The bench: measures what the registry costs, and whether its memory grows.

``run`` compares costs, with ratios and targets; ``run_soak`` makes millions of calls. Both return
``Results``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ciris_registry.bench.report import Results

QUICK: float = 0.15
"""The scale of ``--quick``."""


# The worker processes import this module too, and use none of what these functions import.


def run(
    url: str | None, processes: int = 4, scale: float = 1.0, picture: Path | None = None
) -> Results:
    """Measure everything. On a terminal, stderr shows a progress bar.

    Args:
        url: The server; None starts an embedded one.
        processes: Processes of the fleet, 1 to 19.
        scale: How much is measured, 0.01 to 10; 1 is a full run.
        picture: Where a chart of the results is written.

    Raises:
        BenchError: An option is out of its bounds, or the run cannot continue.
        RegistryError: The server cannot be used.
    """
    from ciris_registry.bench.plan import Plan  # noqa: PLC0415 # see above
    from ciris_registry.bench.report import check_picture, draw  # noqa: PLC0415
    from ciris_registry.bench.runner import run_bench  # noqa: PLC0415

    plan = Plan.checked(url, processes, scale)
    if picture is not None:
        check_picture(picture)
    results = run_bench(plan)
    if picture is not None:
        draw(results, picture)
    return results


def run_soak(calls: int) -> Results:
    """Make so many resolves and outcomes on an embedded server, and compare what is held.

    Raises:
        BenchError: The number of calls is out of its bounds, or the run cannot continue.
        RegistryError: The server cannot be used.
    """
    from ciris_registry.bench.soak import run_soak  # noqa: PLC0415 # see above

    return run_soak(calls)


def print_results(results: Results, *, as_json: bool) -> None:
    """Print a table or JSON on standard output."""
    from ciris_registry.bench.report import print_json, print_table  # noqa: PLC0415 # see above

    (print_json if as_json else print_table)(results)
