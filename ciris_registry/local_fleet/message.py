"""One JSON object a line: the base of all messages between a parent and its child processes.

Times in messages are seconds of CLOCK_MONOTONIC. All processes of one machine share that clock, so
times of different processes can be compared.
"""

from __future__ import annotations

import sys

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """One line."""

    model_config = ConfigDict(frozen=True)

    def send(self) -> None:
        """Write the line to the parent process."""
        sys.stdout.write(self.model_dump_json() + "\n")
        sys.stdout.flush()
