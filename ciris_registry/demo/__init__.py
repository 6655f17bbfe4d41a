"""The demo: a fleet of real processes, whose providers fail, and whose callers see no error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LEAST_AGENTS, MOST_AGENTS = 2, 16
LEAST_SECONDS, MOST_SECONDS = 12.0, 600.0


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
        seconds: How long they send prompts, 12 to 600.
        prompts: A text file with one prompt a line; one that comes with the package if not given.
        plain: Lines of text even on a terminal, where a table would be redrawn in place.
        hold: Go on after the recovery until Ctrl-C, so that people can look around.

    Returns:
        The exit code: 0 if every guarantee held, 1 if one was broken, 2 if it could not start,
        130 or 143 if it was interrupted.
    """
    from ciris_registry.demo.director import direct  # noqa: PLC0415 # its processes need none of it

    return direct(agents=agents, seconds=seconds, prompts=prompts, plain=plain, hold=hold)
