"""A client of one upstream: what a program registers as a provider.

It knows nothing of registries and breakers. A few lines of HTTP over asyncio streams stand for
the HTTP library that a program would use.
"""

from __future__ import annotations

import asyncio
import json
from contextvars import ContextVar
from typing import Final

TIMEOUT: Final = 2.0
"""Seconds for one request."""

_GOOD: Final = 200
_MOST_BYTES: Final = 1 << 20

asked_at: ContextVar[float] = ContextVar("asked_at")
"""When the work began that a request belongs to; the upstreams are told."""


class UpstreamError(Exception):
    """An upstream answered with something else than 200."""


class Client:
    """A client of the server on one port of the loopback."""

    def __init__(self, port: int, agent: str) -> None:
        self.port = port
        self.agent = agent

    async def complete(self, prompt: str) -> str:
        """The answer to a prompt.

        Raises:
            UpstreamError: There was none.
            OSError: Nobody was there, or not in time.
        """
        message = {"role": "user", "content": prompt}
        body = {"model": "demo-1", "messages": [message]}
        content = await self._send("POST", "/v1/chat/completions", json.dumps(body).encode())
        return str(json.loads(content)["choices"][0]["message"]["content"])

    async def is_healthy(self) -> bool:
        """Whether the upstream says that it is well. The registry asks before it hands this out."""
        await self._send("GET", "/health")
        return True

    async def control(self, **statuses: int) -> None:
        """Tell the upstream with which status to answer ``chat`` and ``health`` from now on."""
        await self._send("POST", "/control", json.dumps(statuses).encode())

    async def _send(self, method: str, path: str, body: bytes = b"") -> bytes:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"X-Demo-Agent: {self.agent}\r\nX-Demo-Asked: {asked_at.get(0.0)!r}\r\n\r\n"
        )
        async with asyncio.timeout(TIMEOUT):  # TimeoutError is an OSError
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(head.encode() + body)
                answer = await reader.read(_MOST_BYTES)
                while more := await reader.read(_MOST_BYTES):
                    answer += more
            finally:
                writer.close()
        status, _, rest = answer.partition(b"\r\n")
        words = status.split()
        if len(words) < 2 or int(words[1]) != _GOOD:  # noqa: PLR2004 # version and status
            raise UpstreamError(status.decode(errors="replace"))
        return rest.partition(b"\r\n\r\n")[2]
