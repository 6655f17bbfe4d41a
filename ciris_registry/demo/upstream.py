"""An upstream: a process with an HTTP server that answers as the OpenAI API does.

``POST /v1/chat/completions`` and ``GET /health`` are what a provider has. ``POST /control`` takes
``{"chat": 200 | 500, "health": 200 | 503}``, and ``GET /stats`` shows what was counted. It tells
its parent of every request, and ends with the end of its input.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final, Literal, cast

from pydantic import TypeAdapter

from ciris_registry.demo.messages import Ready, Request

CHAT_TAKES: Final = 0.12
HEALTH_TAKES: Final = 0.03
DOWN_TAKES: Final = 0.25
"""Seconds. A server that is about to break down is slow to say so, and what can overlap shall."""

_OBJECT: Final[TypeAdapter[dict[str, Any]]] = TypeAdapter(dict[str, Any])
_GOOD: Final = 200
_MOST_BYTES: Final = 1 << 20


class Upstream(ThreadingHTTPServer):
    """One OpenAI-compatible server on a free port of the loopback."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name: Final = name
        self.status: Final = {"chat": 200, "health": 200}
        self.counts: Final = Counter[str]()
        self.lock: Final = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Upstream  # pyright: ignore[reportIncompatibleVariableOverride] # the only one it serves
    timeout = 5.0
    protocol_version = "HTTP/1.1"
    server_version = "ciris-registry-demo"
    routes: ClassVar = {
        "GET /health": "health",
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
        """Nothing: the parent is told in its own way."""

    def _serve(self) -> None:
        arrived = time.monotonic()
        self.close_connection = True
        try:
            length = int(self.headers.get("Content-Length") or 0)
            content = _OBJECT.validate_json(self.rfile.read(min(length, _MOST_BYTES)) or b"{}")
        except ValueError:
            self._reply(400, _error("invalid_request_error", "the body is no JSON object"))
            return
        match self.routes.get(f"{self.command} {self.path}"):
            case "chat":
                self._chat(arrived, content)
            case "health":
                self._health(arrived)
            case "control":
                for what in self.server.status.keys() & content.keys():
                    self.server.status[what] = int(content[what])
                self._reply(200, self.server.status)
            case "stats":
                self._reply(200, dict(self.server.counts))
            case _:
                self._reply(404, _error("invalid_request_error", f"nothing at {self.path}"))

    def _chat(self, arrived: float, content: dict[str, Any]) -> None:
        messages = content.get("messages")
        if not isinstance(messages, list) or not messages or "model" not in content:
            why = "model and messages are required"
            self._reply(400, _error("invalid_request_error", why))
            return
        status = self.server.status["chat"]  # decided when it arrives, not when it is answered
        time.sleep(CHAT_TAKES)
        prompt = str(cast("list[object]", messages)[-1])
        good = status == _GOOD
        body = (
            _completion(self.server.name, str(content["model"]), prompt)
            if good
            else _error("server_error", "The server had an error while processing your request.")
        )
        self._tell("chat", arrived, status)
        self._reply(status, body)

    def _health(self, arrived: float) -> None:
        status = self.server.status["health"]
        time.sleep(HEALTH_TAKES if status == _GOOD else DOWN_TAKES)
        self._tell("health", arrived, status)
        self._reply(status, {"status": "ok" if status == _GOOD else "down"})

    def _tell(self, what: Literal["chat", "health"], arrived: float, status: int) -> None:
        request = Request(
            what=what,
            agent=self.headers.get("X-Demo-Agent", ""),
            asked=float(self.headers.get("X-Demo-Asked", arrived)),
            arrived=arrived,
            left=time.monotonic(),
            status=status,
        )
        with self.server.lock:
            self.server.counts[f"{what} {status}"] += 1
            if request.agent:  # not a spectator's
                request.send()

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


def _completion(name: str, model: str, prompt: str) -> dict[str, Any]:
    answer = f"{name} has read {len(prompt)} characters."
    asked, said = len(prompt.split()), len(answer.split())
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
            "prompt_tokens": asked,
            "completion_tokens": said,
            "total_tokens": asked + said,
        },
    }


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
