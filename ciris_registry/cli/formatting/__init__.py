"""Text for a terminal: durations, local times, and text from Redis made printable.

Every command that prints something read from Redis formats it here.
"""

from ciris_registry.cli.formatting.durations import parse_duration, shown_duration
from ciris_registry.cli.formatting.local_time import date_and_time, time_of_day
from ciris_registry.cli.formatting.printable_text import printable

__all__ = [
    "date_and_time",
    "parse_duration",
    "printable",
    "shown_duration",
    "time_of_day",
]
