"""The messages between the demo and its processes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from ciris_registry.local_fleet import Message


class Start(Message):
    """What an agent needs to join; the first line that it reads."""

    name: str
    url: str
    namespace: str
    upstreams: dict[str, int]
    """The port of each provider."""

    prompts: list[str]
    interval: float
    """Seconds between two prompts."""

    disobeys: bool = False
    """Whether it calls providers that its registry refuses, so that the demo must notice."""


class Command(Message):
    """What an agent does next: send prompts, and then leave the fleet."""

    do: Literal["call", "leave"]


class Ready(Message):
    """A process has started."""

    kind: Literal["ready"] = "ready"
    port: int = 0
    process: str = ""


class Call(Message):
    """The result of one call of an agent, however many upstreams were tried for it."""

    kind: Literal["call"] = "call"
    started: float
    ended: float
    words: int = 0
    """How many words of a stream had arrived."""

    error: str = ""


class View(Message):
    """The state in which an agent sees a provider's breaker, or ``cooling``."""

    kind: Literal["view"] = "view"
    provider: str
    state: str


class Refused(Message):
    """An agent read an event after which a provider must not be called, and its registry agrees."""

    kind: Literal["refused"] = "refused"
    provider: str
    event: str
    at: float


Ending = Literal["answered", "failed", "limited", "hung", "cut_early", "cut_late"]
"""How a request ended: with 200, 500, 429, no answer at all, or a stream that broke off before or
after its first word."""


class Request(Message):
    """One request as an upstream saw it."""

    kind: Literal["request"] = "request"
    agent: str
    sent: float
    arrived: float
    ending: Ending
    answered: float = 0.0
    left: float = 0.0
    """When the first word of the answer was sent, and when the last one was."""

    retry_after: int = 0


class Left(Message):
    """An agent has left the fleet, after so many requests."""

    kind: Literal["left"] = "left"
    sent: int


Report = Ready | Call | View | Refused | Request | Left
_REPORTS: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="kind")])


def parse_report(line: bytes) -> Report:
    """The message on a line.

    Raises:
        ValueError: The line is no message.
    """
    return _REPORTS.validate_json(line)
