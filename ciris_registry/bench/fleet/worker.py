"""One worker process of the bench's fleet: ``python -m ciris_registry.bench.fleet.worker``.

It joins, runs the commands on its input one after another, and ends when its input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from ciris_registry.bench.fleet.messages import Answer, Command, Connection
from ciris_registry.bench.fleet.registrations import ROUND_ROBIN, WATCHED, join
from ciris_registry.bench.server import new_registry
from ciris_registry.local_fleet import open_stdin

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.bench.providers import Client
    from ciris_registry.registry import ServiceRegistry

_LOOK: Final = 0.1
"""Seconds after which a watcher resolves without a change. Twenty watchers that polled faster would
take the processors away from the process that delivers the change."""

_ANSWER_DELAY: Final = 0.03
"""Seconds until a watcher answers, so that sending and reading answers takes no processor time from
watchers that have not seen the change yet."""


async def run_command(registry: ServiceRegistry, command: Command) -> None:
    """Run one command and answer it."""
    if command.do == "resolve":
        await _resolve(registry, command.times)
    else:
        await _watch(registry)


async def _resolve(registry: ServiceRegistry, times: int) -> None:
    counts: Counter[str] = Counter()
    for _ in range(times):
        client: Client = await registry.get_service("planner", ROUND_ROBIN)
        counts[client.name] += 1
    Answer(kind="resolved", counts=counts).send()


async def _watch(registry: ServiceRegistry) -> None:
    """Answer when the provider can be used, and again when it is refused."""
    look = partial(registry.get_service, "watcher", WATCHED)
    changed = _breaker_changes(registry)
    while await look() is None:
        await _wait(changed)
    Answer(kind="ready").send()
    while await look() is not None:
        await _wait(changed)
    refused_at = time.monotonic()
    await asyncio.sleep(_ANSWER_DELAY)
    Answer(kind="refused", at=refused_at).send()


def _breaker_changes(registry: ServiceRegistry) -> asyncio.Event:
    """Set whenever the local copy of a breaker of the watched service type changes."""
    changed, inside = asyncio.Event(), cast("Any", registry)
    replica = inside._parts.replicas.of(WATCHED)  # noqa: SLF001 # no public event is as early
    apply: Callable[[object], bool] = replica.apply

    def apply_and_set(change: object) -> bool:
        applied = apply(change)
        changed.set()
        return applied

    replica.apply = apply_and_set
    return changed


async def _wait(changed: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LOOK):
            await changed.wait()
    changed.clear()


async def main() -> None:
    """Run commands until the input ends."""
    lines = await open_stdin()
    connection = Connection.model_validate_json(await lines.readline())
    async with new_registry(connection.url, connection.namespace) as registry:
        await join(registry)
        Answer(kind="ready").send()
        try:
            # An error of a command ends the reading, and so the process.
            async with asyncio.TaskGroup() as tasks:
                running: asyncio.Task[None] | None = None
                while line := await lines.readline():
                    if running is not None:
                        await running
                    command = Command.model_validate_json(line)
                    running = tasks.create_task(run_command(registry, command))
                if running is not None:
                    running.cancel()
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # the parent does not read any more
        asyncio.run(main())
