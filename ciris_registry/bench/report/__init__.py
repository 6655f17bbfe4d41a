"""What a run found, as data, JSON, a table or a picture; and the progress bar of a run."""

from __future__ import annotations

from ciris_registry.bench.report.picture import check_picture, draw
from ciris_registry.bench.report.printing import print_json, print_table
from ciris_registry.bench.report.progress_bar import ProgressBar
from ciris_registry.bench.report.results import Measurement, Results

__all__ = [
    "Measurement",
    "ProgressBar",
    "Results",
    "check_picture",
    "draw",
    "print_json",
    "print_table",
]
