"""What providers answer, what each answer means, and a server that gives it."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from ciris_registry import FAILURE, IGNORED, Classification, cooldown, refused, unfit

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Answer(NamedTuple):
    """A response of the server, and its classification."""

    status: int
    meaning: Classification
    headers: Mapping[str, str] = NOTHING
    error: Mapping[str, str | None] = NOTHING
    # Where the body alone tells: what it means to clients whose errors do not have it.
    without_body: Classification | None = None


QUOTA = {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": None}
NO_CREDIT = {
    "message": "Your credit balance is too low to access the API. Please go to Plans & Billing.",
    "type": "invalid_request_error",
}
DATE = {"Date": "Sun, 06 Nov 1994 08:49:37 GMT"}
REQUESTS_ARE_OUT = {
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "6m0s",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-tokens": "20ms",
}
TOKENS_ARE_OUT = {
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "1994-11-06T08:49:38Z",
    "anthropic-ratelimit-tokens-remaining": "0",
    "anthropic-ratelimit-tokens-reset": "1994-11-06T08:50:37Z",
}
ANSWERS = {
    "limited": Answer(429, cooldown(5)),
    "limited-for-seconds": Answer(429, cooldown(7), {"Retry-After": "7"}),
    "limited-for-milliseconds": Answer(
        429, cooldown(1.5), {"Retry-After": "2", "retry-after-ms": "1500"}
    ),
    "limited-until": Answer(
        429, cooldown(90), {**DATE, "Retry-After": "Sun, 06 Nov 1994 08:51:07 GMT"}
    ),
    "out-of-requests": Answer(429, cooldown(360), REQUESTS_ARE_OUT),
    "out-of-tokens": Answer(429, cooldown(60), {**DATE, **TOKENS_ARE_OUT}),
    "out-of-quota": Answer(429, cooldown(3600), {"Retry-After": "1"}, QUOTA, cooldown(1)),
    "out-of-credit": Answer(400, refused("billing"), {}, NO_CREDIT, IGNORED),
    "unpaid": Answer(402, refused("billing")),
    "wrong": Answer(400, IGNORED),
    "unknown-key": Answer(401, refused("invalid_key")),
    "forbidden": Answer(403, unfit("forbidden")),
    "not-found": Answer(404, IGNORED),
    "timed-out": Answer(408, FAILURE),
    "unprocessable": Answer(422, IGNORED),
    "broken": Answer(500, FAILURE),
    "bad-gateway": Answer(502, FAILURE),
    "unavailable": Answer(503, FAILURE, {"x-ratelimit-remaining": "9", "x-ratelimit-reset": "60"}),
    "unavailable-for-seconds": Answer(503, cooldown(12), {"Retry-After": "12"}),
    "overloaded": Answer(529, FAILURE),
    "overloaded-for-seconds": Answer(529, cooldown(30), {"Retry-After": "30"}),
}


# Errors that come after the status 200, inside of a stream.
STREAMS = {
    "openai-limited": b'data: {"error": {"message": "no", "code": "rate_limit_exceeded"}}\n\n',
    "openai-quota": b'data: {"error": {"message": "no", "type": "insufficient_quota"}}\n\n',
    "openai-broken": b'data: {"error": {"message": "no", "type": "server_error"}}\n\n',
    "anthropic-limited": b'event: error\ndata: {"error": {"type": "rate_limit_error"}}\n\n',
    "anthropic-overloaded": b'event: error\ndata: {"error": {"type": "overloaded_error"}}\n\n',
}


class Handler(BaseHTTPRequestHandler):
    """Gives the response that the path names."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = self.path.split("/")[1]
        if name in STREAMS:
            self._reply(200, {"Content-Type": "text/event-stream"}, STREAMS[name])
            return
        answer = ANSWERS[name]
        error = dict(answer.error) or {"message": "no", "type": "some_error", "code": None}
        body = json.dumps({"type": "error", "error": error}).encode()
        self._reply(answer.status, {"Content-Type": "application/json", **answer.headers}, body)

    def _reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, text in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *args: object) -> None:
        """Say nothing."""
