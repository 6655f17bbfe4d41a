"""Guarantees that hold in both modes are tested in both."""

from __future__ import annotations

import pytest

BOTH_MODES = pytest.mark.parametrize("mode", ["cached", "exact"])
