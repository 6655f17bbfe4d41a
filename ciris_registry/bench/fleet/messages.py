"""The messages between the bench and its worker processes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ciris_registry.local_fleet import Message


class Connection(Message):
    """Which state to use: the first line sent, not an argument, as a URL may hold a password."""

    url: str
    namespace: str


class Command(Message):
    """What a worker does next."""

    do: Literal["resolve", "watch"]
    times: int = 0
    """How many round-robin resolves."""


class Answer(Message):
    """What a worker has done, or that it is ready for the next command."""

    kind: Literal["ready", "resolved", "refused"]
    counts: dict[str, int] = Field(default_factory=dict[str, int])
    """How often each provider was resolved."""

    at: float = 0.0
    """When the provider was first refused."""
