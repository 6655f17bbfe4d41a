"""Text from Redis on its way to a terminal: it may hold anything, and must not steer it."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text in one line, with whatever is not printable written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
