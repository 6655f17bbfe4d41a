"""The warning of a server that evicts keys: once in a process, at its first contact.

Asks INFO, which managed servers answer where they forbid CONFIG. A server that answers neither
gets no warning.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ciris_registry.errors import RegistryError

if TYPE_CHECKING:
    from ciris_registry.store import Store

_log = logging.getLogger(__name__)

_KEEPS_ALL: Final = "noeviction"


class EvictionWarning:
    """Warns if the server at ``url`` removes keys when its memory is full."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._asked = False

    async def check(self, store: Store) -> None:
        """Ask once; an unreachable server is asked again at the next contact."""
        if self._asked:
            return
        self._asked = True
        try:
            policy = await store.eviction_policy()
        except RegistryError:
            self._asked = False
            return
        if policy not in {None, _KEEPS_ALL}:
            _log.warning(
                "Redis removes keys when its memory is full (maxmemory-policy %s), and the fleet "
                "then loses breakers and registrations; set maxmemory-policy noeviction: %s",
                policy,
                self._url,
                extra={"url": self._url, "policy": policy},
            )
