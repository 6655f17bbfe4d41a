"""A program that never calls ``aclose()`` ends by itself: with 0, at once and without a word.

All warnings are errors in these programs, so a connection that is left open would be a word.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
import redis

ROOT = Path(__file__).resolve().parent.parent.parent

HEAD = """
import asyncio, sys
from ciris_registry import CircuitBreakerConfig, ServiceRegistry

class Client:
    pass

class Ill:
    async def is_healthy(self):
        return False

registry = ServiceRegistry(url=sys.argv[1])
once = CircuitBreakerConfig(failure_threshold=1)
"""

PROGRAMS = {
    "nothing was awaited": """
        registry.register("h", "llm", Client())
    """,
    "it registered in its last line": """
        async def main():
            await registry.get_service("h", "llm")
            registry.register("h", "llm", Client(), name="last")
        asyncio.run(main())
    """,
    "it resolved": """
        async def main():
            client = Client()
            registry.register("h", "llm", client)
            assert await registry.get_service("h", "llm") is client
        asyncio.run(main())
    """,
    "a breaker opened in its last call": """
        async def main():
            name = registry.register("h", "llm", Client(), circuit_breaker_config=once)
            await registry.breaker("llm", name).arecord_failure()
        asyncio.run(main())
    """,
    "a breaker opened in its last call, which did not wait": """
        async def main():
            name = registry.register("h", "llm", Client(), circuit_breaker_config=once, name="a")
            assert await registry.get_service("h", "llm")
            registry.breaker("llm", name).record_failure()
        asyncio.run(main())
    """,
    "a health check opened a breaker in its last call": """
        async def main():
            registry.register("h", "llm", Ill(), circuit_breaker_config=once)
            assert await registry.get_service("h", "llm") is None
        asyncio.run(main())
    """,
    "it held a permit": """
        async def main():
            quick = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=0)
            name = registry.register("h", "llm", Client(), circuit_breaker_config=quick)
            await registry.breaker("llm", name).arecord_failure()
            await asyncio.sleep(0.01)
            assert await registry.get_service("h", "llm")
        asyncio.run(main())
    """,
    "it used two event loops": """
        async def main():
            registry.register("h", "llm", Client(), name="a")
            assert await registry.get_service("h", "llm")
        asyncio.run(main())
        asyncio.run(main())
    """,
    "it was following events": """
        async def main():
            feed = registry.events()
            registry.register("h", "llm", Client(), name="a")
            await registry.flush()
            await anext(feed)
            try:
                await asyncio.wait_for(anext(feed), 0.1)
            except TimeoutError:
                pass
        asyncio.run(main())
    """,
    "it failed": """
        async def main():
            registry.register("h", "llm", Client(), name="a")
            await registry.get_service("h", "llm")
            raise SystemExit(0)
        asyncio.run(main())
    """,
}


def run(program: str, url: str, *options: str) -> None:
    source = HEAD + textwrap.dedent(program)
    with tempfile.TemporaryDirectory(prefix="ciris-") as folder:
        ended = subprocess.run(
            [sys.executable, *options, "-c", source, url],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": folder},
        )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_it_ends_by_itself_whatever_it_did_last(program: str, url: str) -> None:
    if url.startswith("memory://"):
        url = "memory://"
    run(program, url, "-W", "error")


def test_it_ends_by_itself_with_an_embedded_server() -> None:
    run(PROGRAMS["a breaker opened in its last call"], "embedded://")


def test_what_it_left_behind_in_its_last_line_has_reached_the_fleet(real_url: str) -> None:
    run(PROGRAMS["a breaker opened in its last call, which did not wait"], real_url)
    with redis.Redis.from_url(real_url, decode_responses=True) as client:
        assert client.hget("ciris:v2:{default/llm}:breaker:a", "state") == "open"
