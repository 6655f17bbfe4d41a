"""Imports modules of the package without its ``__init__``, which takes ten times as long."""

from __future__ import annotations

import importlib.util
import sys


def skip_init() -> None:
    """Make ``ciris_registry`` known as a package whose ``__init__`` does nothing."""
    spec = importlib.util.find_spec("ciris_registry")
    assert spec is not None
    sys.modules["ciris_registry"] = importlib.util.module_from_spec(spec)
