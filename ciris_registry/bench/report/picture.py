"""The results of a run as a picture: each figure as a share of its target.

Only this module needs matplotlib, and loads it when a picture is drawn.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from ciris_registry.bench.plan import BenchError
from ciris_registry.bench.report.table import met, number, target

if TYPE_CHECKING:
    from pathlib import Path

    from ciris_registry.bench.report.results import Results

_MET: Final = "#2a9d55"
_MISSED: Final = "#c8442f"
_KINDS: Final = (".pdf", ".png", ".svg")


def check_picture(path: Path) -> None:
    """Raise BenchError if no picture can be drawn there, before anything is measured."""
    if path.suffix.lower() not in _KINDS:
        raise BenchError(f"the picture's file name must end with one of {', '.join(_KINDS)}")
    if not path.absolute().parent.is_dir():
        raise BenchError(f"no directory for the picture {path}")
    _matplotlib("figure")


def draw(results: Results, path: Path) -> None:
    """Draw a bar for each figure that has a target; the line marks a target that is just met.

    Raises:
        BenchError: matplotlib is missing, or the file cannot be written.
    """
    shown = [
        (one, share)
        for one in reversed(results.measurements)
        if (share := one.share_of_target) is not None
    ]
    figure = _matplotlib("figure").Figure(figsize=(9, 0.5 * len(shown) + 1.6), layout="tight")
    axes = figure.subplots()
    # A bar on a logarithmic axis needs a length, so a figure of 0 gets a short one.
    lengths = [max(share, 0.01) for _, share in shown]
    bars = axes.barh(
        [one.what for one, _ in shown],
        lengths,
        color=[_MET if one.met else _MISSED for one, _ in shown],
    )
    axes.bar_label(
        bars,
        [f"{number(one.judged)}, {target(one)}: {met(one)}" for one, _ in shown],
        fontsize=8,
        padding=4,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},  # readable over the line
    )
    axes.axvline(1, color="black", linewidth=1, zorder=0.5)
    axes.set_xscale("log")
    axes.set_xlim(0.008, 200 * max([1.0, *lengths]))  # with room for the bars' labels
    axes.xaxis.set_major_formatter(_plainly)
    axes.set_xlabel("figure as a share of its target (up to 1 is met)")
    axes.set_title(results.server, fontsize=9)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise BenchError(f"the picture cannot be written: {error}") from None


def _plainly(share: float, _: int) -> str:
    return f"{share:g}"


def _matplotlib(module: str) -> Any:  # not installed where types are checked
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ImportError:
        raise BenchError("a picture needs the package matplotlib: pip install matplotlib") from None
