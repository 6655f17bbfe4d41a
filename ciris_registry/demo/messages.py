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
    """An agent has called a provider and reported how it went."""

    kind: Literal["call"] = "call"
    provider: str
    asked: float
    """When the registry was asked for a provider."""

    reporting: float
    settled: float
    """When the report of the outcome began, and when it was with everybody."""

    good: bool


class Unserved(Message):
    """An agent got no provider, or could not report."""

    kind: Literal["unserved"] = "unserved"
    asked: float
    why: str


class View(Message):
    """In which state an agent sees a provider's breaker now."""

    kind: Literal["view"] = "view"
    provider: str
    state: str


class Refused(Message):
    """An agent learned of an opening, asked its registry, and was refused the provider."""

    kind: Literal["refused"] = "refused"
    provider: str
    event: str
    at: float


class Request(Message):
    """An upstream has answered a request."""

    kind: Literal["request"] = "request"
    what: Literal["chat", "health"]
    agent: str
    asked: float
    arrived: float
    left: float
    status: int


class Bye(Message):
    """An agent has ended in order."""

    kind: Literal["bye"] = "bye"


Report = Ready | Call | Unserved | View | Refused | Request | Bye
_REPORTS: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="kind")])


def read(line: bytes) -> Report:
    """The message on a line.

    Raises:
        ValueError: It is none.
    """
    return _REPORTS.validate_json(line)
