"""What is held at one moment: the process's memory, and what lies on the server.

Everything on the server is counted, so it has to be one that nobody else uses.
"""

from __future__ import annotations

import asyncio
import gc
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ciris_registry.bench.place import Place

_STATM: Final = Path("/proc/self/statm")
_SIZES: Final = {"hash": "HLEN", "set": "SCARD", "zset": "ZCARD"}
"""How to ask for the size of what must not grow; a stream is trimmed, but only about."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """One look. ``entries`` are the fields and members of all hashes and sets."""

    process: int
    """Bytes of memory that the process occupies."""

    objects: int
    """Objects that Python's collector knows of, after it has collected."""

    keys: int
    entries: int
    server: int
    """Bytes that the server uses."""


async def footprint(place: Place) -> Footprint:
    """Look now."""
    entries = 0
    async for key in place.client.scan_iter():
        size = _SIZES.get(_text(await place.client.type(key)))
        entries += int(await place.client.execute_command(size, key)) if size else 0
    info: dict[str, int] = await place.client.info("memory")
    keys: int = await place.client.dbsize()
    gc.collect()
    return Footprint(
        await _resident(), len(gc.get_objects()), keys, entries, int(info["used_memory"])
    )


async def _resident() -> int:
    """Bytes of this process in memory."""
    if _STATM.exists():
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    asked = await asyncio.create_subprocess_exec(
        "ps", "-o", "rss=", "-p", str(os.getpid()), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await asked.communicate()
    return int(printed) * 1024


def _text(answer: Any) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)
