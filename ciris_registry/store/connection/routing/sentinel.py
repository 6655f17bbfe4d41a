"""Sentinels: which server is the master, asked of all of them whenever a connection opens.

A sentinel that was cut off, or an old master that comes back, says what was so before a failover.
So the answer with the highest config epoch counts, and never one that is lower than the last.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from ciris_registry.store.connection.routing.address import Address
from ciris_registry.store.connection.routing.asking import ask, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_log = logging.getLogger(__name__)

_LONGEST: Final = 1.0
"""Seconds for the answer of one sentinel, connecting included."""

_FOR_THE_REST: Final = 0.05
"""Seconds, at least, for the others to answer when most have done so."""

_MASTER: Final = "master"


class _Answer(NamedTuple):
    epoch: int
    master: Address


class Sentinels:
    """The way to the master that sentinels call ``name``; it has all partitions.

    ``ask_at`` makes a connection of redis-py to a sentinel, ``make`` one to a server. Lives as long
    as its registry; the connections belong to an event loop.
    """

    redirects = False

    def __init__(
        self,
        sentinels: Sequence[Address],
        name: str,
        ask_at: Callable[[Address], Any],
        make: Callable[[Address], Any],
    ) -> None:
        self._sentinels = tuple(sentinels)
        self._name = name
        self._ask_at = ask_at
        self._make = make
        self._epoch = 0

    async def connect(self, at: Address | None = None) -> Any:  # noqa: ARG002 # as Route.connect
        """A connection to the master; ``at`` does not occur.

        Raises:
            redis.exceptions.RedisError: No sentinel names one that is new enough, or it cannot be
                reached, or it is a replica.
        """
        master = await self._find()
        connection = await connect(self._make(master))
        try:
            _check_role(master, *await ask(connection, ("ROLE",)))
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def _find(self) -> Address:
        answers, failures = await self._ask_all()
        if not answers:
            raise self._no_answer(failures)
        epoch = max(one.epoch for one in answers)
        named = Counter(one.master for one in answers if one.epoch == epoch)
        ((master, _),) = named.most_common(1)
        if epoch < self._epoch:
            if len(answers) < len(self._sentinels):
                raise RedisConnectionError(
                    f"the sentinels that answer know only an old master, {master}"
                )
            _log.warning(
                "all sentinels have forgotten the last failover; the master that they name is "
                "used: %s",
                master,
            )
        self._epoch = epoch
        return master

    async def _ask_all(self) -> tuple[list[_Answer], list[Exception]]:
        loop = asyncio.get_running_loop()
        asking = {asyncio.create_task(self._ask(one)) for one in self._sentinels}
        began, answers, failures = loop.time(), list[_Answer](), list[Exception]()
        end = began + _LONGEST
        waiting = asking
        try:
            while waiting and loop.time() < end:
                done, waiting = await asyncio.wait(
                    waiting, timeout=end - loop.time(), return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    error = task.exception()
                    if isinstance(error, Exception):
                        failures.append(error)
                    else:
                        answers.append(task.result())
                if done and len(answers) > len(self._sentinels) // 2:
                    took = loop.time() - began
                    end = min(end, loop.time() + max(_FOR_THE_REST, took))
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        return answers, failures

    async def _ask(self, sentinel: Address) -> _Answer:
        async with asyncio.timeout(_LONGEST):
            connection = await connect(self._ask_at(sentinel))
            try:
                # The epoch first: if a failover comes between, a new master has an old epoch, and
                # not the other way round.
                facts, address = await ask(
                    connection,
                    ("SENTINEL", "MASTER", self._name),
                    ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name),
                )
            finally:
                await connection.disconnect()
        for reply in (facts, address):
            if isinstance(reply, Exception):
                raise reply
        if not facts or not address:
            raise RedisConnectionError(f"{sentinel} knows no master {self._name}")
        epoch = dict(zip(facts[::2], facts[1::2], strict=False)).get("config-epoch", "0")
        return _Answer(int(epoch), Address(str(address[0]), int(address[1])))

    def _no_answer(self, failures: Sequence[Exception]) -> Exception:
        # An answer says more than that there is none.
        replies = [one for one in failures if not isinstance(one, (RedisConnectionError, OSError))]
        denied = [one for one in failures if isinstance(one, AuthenticationError)]
        reason = next(iter((*replies, *denied, *failures)), None)
        problem = str(reason or "") or f"nothing within {_LONGEST:g} s"
        error = RedisConnectionError(f"no sentinel names the master {self._name}: {problem}")
        error.__cause__ = reason
        return error


def _check_role(server: Address, role: Any) -> None:
    """Raise if the reply of ``server`` to ROLE is not a master's."""
    if isinstance(role, Exception):
        raise role
    if role[0] != _MASTER:
        raise RedisConnectionError(
            f"the sentinels name {server} as the master, which says that it is a replica"
        )
