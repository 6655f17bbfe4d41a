"""An upstream: a process with an HTTP server that answers as the OpenAI API does.

Agents send ``POST /v1/chat/completions``, also with ``"stream": true``. ``POST /control`` takes a
``Behaviour``, and ``GET /stats`` returns the counts. It reports every request of an agent to its
parent, and ends when its input ends.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ciris_registry.demo.messages import Ending, Ready, Request

CHAT_TAKES: Final = 0.12
REFUSAL_TAKES: Final = 0.02
WORD_TAKES: Final = 0.01
"""Seconds. A stream's first word comes after half the time that a whole answer takes."""

_OBJECT: Final[TypeAdapter[dict[str, Any]]] = TypeAdapter(dict[str, Any])
_GOOD: Final = 200
_LIMITED: Final = 429
_FAILED: Final = 500
_MOST_BYTES: Final = 1 << 20


class Behaviour(BaseModel):
    """How an upstream answers chats; ``{}`` answers all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    fails: bool = False
    """Answers 500."""

    limits: float = Field(default=0.0, ge=0, le=3600)
    """Answers 429 with ``Retry-After`` for so many seconds from now."""

    hangs: bool = False
    """Never answers."""

    cuts_early: int = Field(default=0, ge=0)
    cuts_late: int = Field(default=0, ge=0)
    """How many of the next streams break off before, and how many after, their first word."""


class Upstream(ThreadingHTTPServer):
    """One OpenAI-compatible server on a free port of the loopback."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name: Final = name
        self.counts: Final = Counter[str]()
        self.lock: Final = threading.Lock()
        self._behaviour = Behaviour()
        self._limited_until = 0.0

    def behave(self, behaviour: Behaviour) -> None:
        """Behave like this from now on."""
        with self.lock:
            self._behaviour = behaviour
            self._limited_until = time.monotonic() + behaviour.limits

    def ending(self, *, streamed: bool) -> tuple[Ending, int]:
        """How a chat that arrives now ends, and its Retry-After."""
        with self.lock:
            now, one = time.monotonic(), self._behaviour
            if now < self._limited_until:
                return "limited", math.ceil(self._limited_until - now)
            if one.fails:
                return "failed", 0
            if one.hangs:
                return "hung", 0
            if streamed and one.cuts_early:
                self._behaviour = one.model_copy(update={"cuts_early": one.cuts_early - 1})
                return "cut_early", 0
            if streamed and one.cuts_late:
                self._behaviour = one.model_copy(update={"cuts_late": one.cuts_late - 1})
                return "cut_late", 0
        return "answered", 0


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Upstream  # pyright: ignore[reportIncompatibleVariableOverride] # the only one it serves
    timeout = 5.0
    protocol_version = "HTTP/1.1"
    server_version = "ciris-registry-demo"
    routes: ClassVar = {
        "GET /stats": "stats",
        "POST /control": "control",
        "POST /v1/chat/completions": "chat",
    }

    def do_GET(self) -> None:  # as http.server names it
        """Answer a GET."""
        self._serve()

    def do_POST(self) -> None:  # as http.server names it
        """Answer a POST."""
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # as in the parent
        """Log nothing; requests are reported to the parent instead."""

    def _serve(self) -> None:
        arrived = time.monotonic()
        self.close_connection = True
        try:
            length = int(self.headers.get("Content-Length") or 0)
            content = _OBJECT.validate_json(self.rfile.read(min(length, _MOST_BYTES)) or b"{}")
            match self.routes.get(f"{self.command} {self.path}"):
                case "chat":
                    self._chat(arrived, content)
                case "control":
                    self.server.behave(Behaviour.model_validate(content))
                    self._reply(_GOOD, content)
                case "stats":
                    self._reply(_GOOD, dict(self.server.counts))
                case _:
                    self._reply(404, _error("invalid_request_error", f"no resource at {self.path}"))
        except ValueError as error:
            self._reply(400, _error("invalid_request_error", str(error)))
        except OSError:
            return  # the client has given up

    def _chat(self, arrived: float, content: dict[str, Any]) -> None:
        messages = content.get("messages")
        if not isinstance(messages, list) or not messages or "model" not in content:
            raise ValueError("model and messages are required")
        streamed, model = bool(content.get("stream")), str(content["model"])
        # Decided when the request arrives, not when it is answered.
        ending, retry_after = self.server.ending(streamed=streamed)
        request = Request(
            agent=self.headers.get("X-Demo-Agent", ""),
            sent=float(self.headers.get("X-Demo-Sent", arrived)),
            arrived=arrived,
            ending=ending,
            retry_after=retry_after,
        )
        prompt = str(cast("list[object]", messages)[-1])
        match ending:
            case "limited":
                time.sleep(REFUSAL_TAKES)
                self._report(request)
                why = _error("rate_limit_error", f"Rate limit reached; retry in {retry_after} s.")
                self._reply(_LIMITED, why, retry_after=retry_after)
            case "failed":
                time.sleep(CHAT_TAKES)
                self._report(request)
                why = _error(
                    "server_error", "The server had an error while processing the request."
                )
                self._reply(_FAILED, why)
            case "hung":
                self.connection.settimeout(None)
                self.rfile.read(1)  # returns when the client closes the connection
                self._report(request)
            case _ if streamed:
                self._stream(request, model, prompt)
            case _:
                time.sleep(CHAT_TAKES)
                self._report(request)
                self._reply(_GOOD, _completion(self.server.name, model, prompt))

    def _stream(self, request: Request, model: str, prompt: str) -> None:
        """Server-sent events. A stream that breaks off lacks its last, empty chunk."""
        answered = 0.0
        try:
            self.send_response(_GOOD)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Connection", "close")
            self.end_headers()
            time.sleep(CHAT_TAKES / 2)
            answered = time.monotonic()
            if request.ending == "cut_early":
                return
            for event in _events(self.server.name, model, prompt):
                self._chunk(f"data: {event}\n\n".encode())
                if request.ending == "cut_late":
                    return
                time.sleep(WORD_TAKES)
        finally:
            self._report(request, answered)
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _report(self, request: Request, answered: float = 0.0) -> None:
        """Count and report the request; ``answered`` is when the answer began, by default now."""
        left = time.monotonic()
        report = request.model_copy(update={"answered": answered or left, "left": left})
        with self.server.lock:
            self.server.counts[report.ending] += 1
            if report.agent:  # a request from elsewhere is not reported
                report.send()

    def _reply(self, status: int, body: dict[str, Any], *, retry_after: int = 0) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        if retry_after:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(content)


def _answer(name: str, prompt: str) -> str:
    return f"{name} has read {len(prompt)} characters."


def _completion(name: str, model: str, prompt: str) -> dict[str, Any]:
    answer = _answer(name, prompt)
    prompt_words, answer_words = len(prompt.split()), len(answer.split())
    return {
        "id": f"chatcmpl-{time.monotonic_ns():x}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": prompt_words,
            "completion_tokens": answer_words,
            "total_tokens": prompt_words + answer_words,
        },
    }


def _events(name: str, model: str, prompt: str) -> list[str]:
    """One event for each word, one with the finish reason, and the end."""
    whole = {
        "id": f"chatcmpl-{time.monotonic_ns():x}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
    }
    first, *others = _answer(name, prompt).split()
    deltas: list[dict[str, str]] = [
        {"role": "assistant", "content": first},
        *({"content": f" {word}"} for word in others),
        {},
    ]
    chunks = [
        {"index": 0, "delta": delta, "finish_reason": None if delta else "stop"} for delta in deltas
    ]
    return [*(json.dumps({**whole, "choices": [chunk]}) for chunk in chunks), "[DONE]"]


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def main() -> None:
    """Serve until the input ends."""
    with Upstream(sys.argv[1]) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Ready(port=server.server_port).send()
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
