"""The server's milliseconds as this machine's local time; impossible times as plain numbers."""

from __future__ import annotations

from datetime import UTC, datetime


def date_and_time(milliseconds: int) -> str:
    """Date and time of day to the millisecond."""
    moment = _local(milliseconds)
    if moment is None:
        return str(milliseconds)
    return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")


def time_of_day(milliseconds: int) -> str:
    """The time of day, with the date if it is not today."""
    moment, today = _local(milliseconds), datetime.now(UTC).astimezone().date()
    if moment is None:
        return str(milliseconds)
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M:%S")


def _local(milliseconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return None
