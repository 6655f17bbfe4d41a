"""The last moments of an event loop: what is pending gets a moment more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from ciris_registry.errors import RegistryError

if TYPE_CHECKING:
    from ciris_registry.parts import Parts

_log = logging.getLogger(__name__)

_PATIENCE: Final = 0.2
"""Seconds by which a program that ends without ``aclose`` is held up at most."""


class Ending:
    """Reports and writes what a program leaves behind that does not close its registry."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def finish(self) -> None:
        """Carry out what is pending, or leave it."""
        if not self._parts.connectivity.ok:
            return
        with contextlib.suppress(TimeoutError, RegistryError):
            async with asyncio.timeout(_PATIENCE):
                await self._parts.successes.flush()
        await self._parts.write_queue.finish(_PATIENCE)
