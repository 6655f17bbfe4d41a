"""The demo: a fleet of real processes whose upstreams fail while callers see no error.

``run`` starts everything, plays the scenario, and prints each guarantee with its figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def run(
    *,
    agents: int = 4,
    seconds: float = 15.0,
    prompts: Path | None = None,
    plain: bool = False,
    hold: bool = False,
) -> int:
    """Run the demo and print what it measured.

    Args:
        agents: Agent processes, 2 to 16.
        seconds: How long the agents send prompts, 12 to 600.
        prompts: A text file with one prompt a line; the package's own if not given.
        plain: Print lines of text on a terminal too, instead of a table redrawn in place.
        hold: Continue after the recovery until Ctrl-C, so that you can look around.

    Returns:
        The exit code: 0 if every guarantee held, 1 if one was broken, 2 if it could not start,
        130 or 143 if it was interrupted.
    """
    from ciris_registry.demo.runner import run_demo  # noqa: PLC0415 # unused in its processes

    return run_demo(agents=agents, seconds=seconds, prompts=prompts, plain=plain, hold=hold)
