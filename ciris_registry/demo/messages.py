"""What the demo's processes tell each other: one JSON object a line.

Times are seconds of CLOCK_MONOTONIC, which all processes of one machine share, so that a moment in
one process can be compared with a moment in another.
"""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Message(BaseModel):
    """A line."""

    model_config = ConfigDict(frozen=True)

    def send(self) -> None:
        """Write it to the process that started this one."""
        sys.stdout.write(self.model_dump_json() + "\n")
        sys.stdout.flush()


class Orders(Message):
    """What an agent is to do; the first line that it reads."""

    name: str
    url: str
    namespace: str
    upstreams: dict[str, int]
    """The port of each provider."""

    prompts: list[str]
    every: float
    """Seconds between two prompts."""

    disobeys: bool = False
    """Whether it calls providers as it likes, so that the demo can be seen to notice."""


class Ready(Message):
    """A process can be used."""

    kind: Literal["ready"] = "ready"
    port: int = 0
    process: str = ""


class Call(Message):
    """What an agent saw of one of its calls, however many upstreams were asked for it."""

    kind: Literal["call"] = "call"
    asked: float
    ended: float
    words: int = 0
    """How many words of a stream had come."""

    error: str = ""


class View(Message):
    """In which state an agent sees a provider's breaker now, or that it is ``cooling``."""

    kind: Literal["view"] = "view"
    provider: str
    state: str


class Refused(Message):
    """An agent learned that a provider is to be left alone, and its registry left it out."""

    kind: Literal["refused"] = "refused"
    provider: str
    event: str
    at: float


Ending = Literal["answered", "failed", "limited", "hung", "cut_early", "cut_late"]
"""How a request ended: with 200, 500, 429, no answer at all, or a stream that broke off before or
after its first word."""


class Request(Message):
    """What an upstream saw of one request."""

    kind: Literal["request"] = "request"
    agent: str
    sent: float
    arrived: float
    ending: Ending
    answered: float = 0.0
    left: float = 0.0
    """When the first word of the answer was there, and when the last one was."""

    retry_after: int = 0


class Bye(Message):
    """An agent has ended in order, and has sent so many requests."""

    kind: Literal["bye"] = "bye"
    sent: int


Report = Ready | Call | View | Refused | Request | Bye
_REPORTS: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="kind")])


def read(line: bytes) -> Report:
    """The message on a line.

    Raises:
        ValueError: It is none.
    """
    return _REPORTS.validate_json(line)
