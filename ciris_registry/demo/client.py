"""A client of one upstream, which a program registers as a provider.

It does not use the registry. It has no ``is_healthy``: a health check is one more request for each
call, and the call itself is the better probe. A few lines of HTTP over asyncio streams stand for
the HTTP library that a program would use.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

_GOOD: Final = 200
_CONTROL_TIMEOUT: Final = 2.0
_EVENT: Final = b"data: "


class UpstreamError(Exception):
    """An upstream did not answer with 200, or its answer was incomplete."""

    def __init__(
        self, problem: str, status: int = 0, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(problem)
        self.status = status
        self.headers = headers or {}


class Client:
    """A client of the server on one port of the loopback; ``sent`` counts its requests."""

    def __init__(self, port: int, agent: str) -> None:
        self.port = port
        self.agent = agent
        self.sent = 0

    async def complete(self, prompt: str) -> str:
        """The answer to a prompt.

        Raises:
            UpstreamError: There was no complete answer.
            OSError: The upstream could not be reached.
        """
        async with self._chat(prompt) as answer:
            content = await answer.read()
        return str(json.loads(content)["choices"][0]["message"]["content"])

    async def words(self, prompt: str) -> AsyncGenerator[str, None]:
        """The answer to a prompt, word by word.

        Raises:
            UpstreamError: There was no complete answer.
            OSError: The upstream could not be reached.
        """
        async with self._chat(prompt, stream=True) as answer:
            async for line in answer:  # lines between events are chunk lengths
                if line.startswith(_EVENT + b"[DONE]"):
                    return
                if line.startswith(_EVENT):
                    yield json.loads(line[len(_EVENT) :])["choices"][0]["delta"].get("content", "")
        raise UpstreamError("the stream broke off")

    async def control(self, **behaviour: float) -> None:
        """Set how the upstream behaves from now on; see ``upstream.Behaviour``."""
        async with asyncio.timeout(_CONTROL_TIMEOUT), self._post("/control", behaviour) as answer:
            await answer.read()

    @contextlib.asynccontextmanager
    async def _chat(self, prompt: str, **more: bool) -> AsyncGenerator[asyncio.StreamReader, None]:
        message = {"role": "user", "content": prompt}
        self.sent += 1
        async with self._post(
            "/v1/chat/completions", {"model": "demo-1", "messages": [message], **more}
        ) as answer:
            yield answer

    @contextlib.asynccontextmanager
    async def _post(
        self, path: str, content: Mapping[str, Any]
    ) -> AsyncGenerator[asyncio.StreamReader, None]:
        """The body of an answer, once its head has been read and says 200."""
        body = json.dumps(content).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"X-Demo-Agent: {self.agent}\r\nX-Demo-Sent: {time.monotonic()!r}\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(head.encode() + body)
            status = (await reader.readline()).decode().strip()
            headers: dict[str, str] = {}
            while line := (await reader.readline()).decode().strip():
                name, _, value = line.partition(":")
                headers[name] = value.strip()
            words = status.split()
            code = int(words[1]) if len(words) > 1 else 0
            if code != _GOOD:
                raise UpstreamError(status or "no answer", code, headers)
            yield reader
        finally:
            writer.close()
