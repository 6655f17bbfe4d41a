"""The memory of this process and the contents of the server at one moment.

Everything on the server is counted, so no other program may use it.
"""

from __future__ import annotations

import asyncio
import gc
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ciris_registry.bench.server import Server

_STATM: Final = Path("/proc/self/statm")
_SIZES: Final = {"hash": "HLEN", "set": "SCARD", "zset": "ZCARD"}
"""The command for the size of each type. Streams are left out: their trimming is approximate."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """One sample. ``entries`` counts the fields and members of all hashes and sets."""

    process: int
    """Bytes of resident memory."""

    objects: int
    """Objects that the garbage collector tracks, after a collection."""

    keys: int
    entries: int
    server: int
    """Bytes that the server uses."""


async def footprint(server: Server) -> Footprint:
    """Take a sample."""
    entries = 0
    async for key in server.client.scan_iter():
        size = _SIZES.get(_text(await server.client.type(key)))
        entries += int(await server.client.execute_command(size, key)) if size else 0
    info: dict[str, int] = await server.client.info("memory")
    keys: int = await server.client.dbsize()
    gc.collect()
    return Footprint(
        await _resident(), len(gc.get_objects()), keys, entries, int(info["used_memory"])
    )


async def _resident() -> int:
    """Bytes of this process in memory."""
    if _STATM.exists():
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    ps = await asyncio.create_subprocess_exec(
        "ps", "-o", "rss=", "-p", str(os.getpid()), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await ps.communicate()
    return int(printed) * 1024


def _text(answer: Any) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)
