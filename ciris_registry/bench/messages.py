"""What the bench and its processes tell each other: one JSON object a line.

Times are seconds of CLOCK_MONOTONIC, which all processes of one machine share, so that a moment in
one process can be compared with a moment in another.
"""

from __future__ import annotations

import sys
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """A line."""

    model_config = ConfigDict(frozen=True)


class Orders(Message):
    """What a process is to use; the first line that it reads, as a URL may hold a password."""

    url: str
    namespace: str


class Word(Message):
    """What it is to do next."""

    do: Literal["turns", "watch"]
    times: int = 0
    """How many resolves; no more than one opening is watched for at a time."""


class Answer(Message):
    """What it has to say to that, or that it is ready to hear the next."""

    kind: Literal["ready", "turns", "refused"]
    counts: dict[str, int] = {}
    """How often each provider was resolved."""

    at: float = 0.0
    """When it was refused the provider."""

    def send(self) -> None:
        """Write it to the process that started this one."""
        sys.stdout.write(self.model_dump_json() + "\n")
        sys.stdout.flush()
