"""Counting the commands that clients send, with what the server counts anyway.

``INFO commandstats`` counts the commands inside scripts together with those of clients. So only
commands are counted here that no script of this package contains; of the others
(``ZRANGE``, ``HGETALL``, …) nobody could say who had sent them. What the registry itself sends
is almost all among them: each of its writes and resolves is one ``EVALSHA``, and it follows the
stream with ``XREAD``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ciris_registry.bench.place import Place

CLIENT_SENT: Final = (
    "auth",
    "client",
    "client|id",
    "client|no-evict",
    "client|setinfo",
    "client|setname",
    "client|tracking",
    "eval",
    "eval_ro",
    "evalsha",
    "evalsha_ro",
    "fcall",
    "fcall_ro",
    "hello",
    "info",
    "multi",
    "ping",
    "psubscribe",
    "publish",
    "script",
    "script|exists",
    "script|load",
    "select",
    "smembers",
    "spublish",
    "ssubscribe",
    "subscribe",
    "wait",
    "xread",
    "xreadgroup",
)
"""What is counted, as ``INFO commandstats`` names it; subcommands since Redis 7."""


class CommandCount:
    """The commands that all clients of a server have sent since this was begun.

    On a server that others use too, theirs are among them.
    """

    def __init__(self, place: Place, before: dict[str, int]) -> None:
        self._place = place
        self._before = before

    @classmethod
    async def begin(cls, place: Place) -> CommandCount:
        """Count from now on."""
        return cls(place, await _sent(place))

    async def since(self) -> dict[str, int]:
        """What was sent, by name, without the questions of this count itself."""
        now = await _sent(self._place)
        counts = {name: number - self._before.get(name, 0) for name, number in now.items()}
        counts["info"] = counts.get("info", 0) - 1  # the one with which it began
        return {name: number for name, number in counts.items() if number > 0}


async def _sent(place: Place) -> dict[str, int]:
    stats: dict[str, dict[str, int]] = await place.client.info("commandstats")
    counted = {name.removeprefix("cmdstat_").lower(): one["calls"] for name, one in stats.items()}
    return {name: counted[name] for name in CLIENT_SENT if name in counted}
