"""Warning once of outcomes for names that no provider has: most of them are misspelt."""

from __future__ import annotations

import logging
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ciris_registry.cache.replica.snapshot import Snapshot

_log = logging.getLogger(__name__)

_MOST: Final = 20
"""Names that are warned about; programs make up names."""


class UnknownProviders:
    """The names of one service type that were warned about."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: set[str] = set()

    def warn(self, name: str, snapshot: Snapshot) -> None:
        """Warn, once a name, if no provider has the name that an outcome is recorded for."""
        names = snapshot.names()
        if (
            not names
            or not snapshot.version[0]  # never loaded
            or name in names
            or name in self._names
            or len(self._names) >= _MOST
        ):
            return
        self._names.add(name)
        meant = get_close_matches(name, names, 1)
        _log.warning(
            "an outcome is recorded for %s of %s, which has no registration%s",
            name,
            snapshot.service_type,
            f"; is it {meant[0]}?" if meant else "",
            extra={"service_type": snapshot.service_type, "provider": name},
        )
