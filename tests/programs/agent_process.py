"""Runs in its process what a test sends: the bodies of async functions, one a line, as JSON.

Argument: the options of the registry and its settings, as JSON. Answers each line with one: what
the function returned, or the error that it raised. Names that a body declares ``global`` stay.
"""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
import time
from typing import Any

import ciris_registry
from ciris_registry import RegistrySettings, ServiceRegistry, errors


class Client:
    """A provider."""

    def __init__(self, name: str = "client") -> None:
        self.name = name


def say(**answer: Any) -> None:
    """Write one line to the test."""
    print(json.dumps(answer), flush=True)  # noqa: T201 # read by the test


async def run(body: str, scope: dict[str, Any]) -> Any:
    """Run the body of an async function, which knows the names of the scope."""
    exec(f"async def work():\n{textwrap.indent(body, '    ')}", scope)  # noqa: S102 # the tests' own
    return await scope["work"]()


async def main(text: str) -> None:
    """Run one body after another until the test closes the pipe."""
    options = json.loads(text)
    settings = RegistrySettings(**options.pop("settings", {}))
    registry = ServiceRegistry(settings=settings, **options)
    scope = dict(vars(errors) | vars(ciris_registry), asyncio=asyncio, time=time, Client=Client)
    scope["registry"] = registry
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    say(ready=registry.process_id)
    while line := await reader.readline():
        try:
            result = await run(json.loads(line), scope)
            say(result=result)
        except BaseException as error:  # noqa: BLE001 # the test raises it
            say(error=f"{type(error).__name__}: {error}")
    await scope["registry"].aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
