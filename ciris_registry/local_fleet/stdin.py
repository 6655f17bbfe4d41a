"""The child's side: standard input as a stream of lines from the parent."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

_LONGEST_LINE: Final = 1 << 24


async def open_stdin() -> asyncio.StreamReader:
    """Standard input. Its end means that the parent has closed it or is gone."""
    stdin = asyncio.StreamReader(limit=_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin
    )
    return stdin
