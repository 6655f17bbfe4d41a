"""Text from Redis made safe for a terminal: it may contain control sequences."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text in one line, with every unprintable character as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
