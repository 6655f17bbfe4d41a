"""The worker processes of the bench, as one group that receives the same commands."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

from ciris_registry.bench.fleet.messages import Answer, Connection
from ciris_registry.bench.plan import BenchError
from ciris_registry.local_fleet import Child

if TYPE_CHECKING:
    from ciris_registry.bench.server import Server
    from ciris_registry.local_fleet import Message

_ANSWER_TIMEOUT: Final = 30.0
"""Seconds; on a busy machine twenty processes take several to start."""


class Fleet:
    """All worker processes for the length of a context; each has joined when it begins."""

    def __init__(self, server: Server, count: int) -> None:
        self._connection = Connection(url=server.url, namespace=server.namespace)
        self._count = count
        self._workers: list[Child] = []

    async def __aenter__(self) -> Self:
        try:
            for number in range(self._count):
                name = f"worker {number}"
                self._workers.append(await Child.start(name, "ciris_registry.bench.fleet.worker"))
            self.send(self._connection)
            await self.answers()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    def send(self, message: Message) -> None:
        """Send every worker the same message."""
        for worker in self._workers:
            worker.send(message)

    async def answers(self) -> list[Answer]:
        """The next answer of each worker.

        Raises:
            BenchError: A worker has ended, or has not answered for 30 s.
        """
        return list(await asyncio.gather(*(_answer(worker) for worker in self._workers)))

    async def _end(self) -> None:
        await asyncio.gather(*(worker.end() for worker in self._workers), return_exceptions=True)


async def _answer(worker: Child) -> Answer:
    problem = "has ended"
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            answer = await worker.receive(Answer.model_validate_json)
        if answer is not None:
            return answer
    except TimeoutError:
        problem = f"has not answered for {_ANSWER_TIMEOUT:.0f} s"
    output = worker.other_output[-1] if worker.other_output else "it printed nothing"
    raise BenchError(f"{worker.name} {problem}: {output}")
