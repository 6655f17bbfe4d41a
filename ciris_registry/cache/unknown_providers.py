"""Warning of outcomes for providers that nobody has registered: most of them are misspelt.

Each name is told once. It refuses to keep anybody from recording them.
"""

from __future__ import annotations

import logging
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ciris_registry.cache.snapshot import Snapshot

_log = logging.getLogger(__name__)

_MOST: Final = 20
"""Names that are warned about; programs make up names."""


class UnknownProviders:
    """The names of one service type that were warned about."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: set[str] = set()

    def warn_if_unknown(self, name: str, snapshot: Snapshot) -> None:
        """An outcome is recorded for this name: say so, once, if no provider has it."""
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
            "an outcome is recorded for %s of %s, which nobody has registered%s",
            name,
            snapshot.service_type,
            f"; is it {meant[0]}?" if meant else "",
            extra={"service_type": snapshot.service_type, "provider": name},
        )
