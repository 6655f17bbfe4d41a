"""Counts the commands that clients send, from the server's own statistics.

``INFO commandstats`` counts commands inside scripts together with those of clients. So only
commands are counted that no script of this package contains, without ``ZRANGE``, ``HGETALL`` and
others. Of the registry's own commands hardly any are missed: each write and each resolve is one
``EVALSHA``, and events are read with ``XREAD``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ciris_registry.bench.server import Server

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
    """The commands that all clients have sent to a server since the count began."""

    def __init__(self, server: Server, before: dict[str, int]) -> None:
        self._server = server
        self._before = before

    @classmethod
    async def begin(cls, server: Server) -> CommandCount:
        """Count from now on."""
        return cls(server, await _sent(server))

    async def since(self) -> dict[str, int]:
        """The commands by name, without those of this count itself."""
        now = await _sent(self._server)
        counts = {name: number - self._before.get(name, 0) for name, number in now.items()}
        counts["info"] = counts.get("info", 0) - 1  # of this count
        return {name: number for name, number in counts.items() if number > 0}


async def _sent(server: Server) -> dict[str, int]:
    stats: dict[str, dict[str, int]] = await server.client.info("commandstats")
    counted = {name.removeprefix("cmdstat_").lower(): one["calls"] for name, one in stats.items()}
    return {name: counted[name] for name in CLIENT_SENT if name in counted}
