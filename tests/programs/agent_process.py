"""Runs in its process what a test sends, one line for each piece of work.

Argument: the options of the registry and its settings, as JSON. A line has the module and name of
an async function and its arguments, as JSON. Each is answered with one: what the function
returned, or the error that it raised.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import TYPE_CHECKING, Any

from ciris_registry import RegistrySettings, ServiceRegistry
from tests.fleet.work.state import AgentState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def say(**answer: Any) -> None:
    """Write one line to the test."""
    print(json.dumps(answer), flush=True)  # noqa: T201 # read by the test


async def run(line: bytes, state: AgentState) -> Any:
    """Await the function that a line names."""
    where, arguments, named = json.loads(line)
    module, _, name = where.partition(":")
    work: Callable[..., Awaitable[Any]] = getattr(importlib.import_module(module), name)
    return await work(state, *arguments, **named)


async def main(text: str) -> None:
    """Run one function after another until the test closes the pipe."""
    options = json.loads(text)
    settings = RegistrySettings(**options.pop("settings", {}))
    state = AgentState(ServiceRegistry(settings=settings, **options))
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    say(ready=state.registry.process_id)
    while line := await reader.readline():
        try:
            say(result=await run(line, state))
        except BaseException as error:  # noqa: BLE001 # the test raises it
            say(error=f"{type(error).__name__}: {error}")
    await state.registry.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
