"""The baseline: one bare ``EVALSHA "return 1"`` with the same kind of client."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ciris_registry.bench.measurements.comparison import Call
    from ciris_registry.bench.server import Server

BARE_EVALSHA: Final = 'bare EVALSHA "return 1"'


async def bare_evalsha(server: Server) -> Call:
    """A call that is one round trip and hardly anything else."""
    sha: str = await server.client.script_load("return 1")
    return partial(server.client.execute_command, "EVALSHA", sha, 0)
