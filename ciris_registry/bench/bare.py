"""The yardstick: one bare ``EVALSHA "return 1"`` with the same kind of client."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ciris_registry.bench.place import Place
    from ciris_registry.bench.rounds import Call

NAMED: Final = 'bare EVALSHA "return 1"'


async def bare_call(place: Place) -> Call:
    """A call that is one round trip and hardly anything else."""
    sha: str = await place.client.script_load("return 1")
    return partial(place.client.execute_command, "EVALSHA", sha, 0)
