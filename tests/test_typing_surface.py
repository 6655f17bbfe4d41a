"""The program that type checkers read uses everything that is public."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ciris_registry
from ciris_registry import (
    CircuitBreaker,
    Event,
    RegistryHealth,
    RegistrySettings,
    ServiceRegistry,
    errors,
)

PROGRAM = (Path(__file__).parent / "typing_surface.py").read_text(encoding="utf-8")

NOT_FOR_PROGRAMS = {"cooldown_durations", "model_config", "parse"}
"""Pydantic's own, and what other modules of the package use."""


@pytest.mark.parametrize("name", sorted({*ciris_registry.__all__, *errors.__all__}))
def test_every_public_name_is_used(name: str) -> None:
    assert len(re.findall(rf"\b{name}\b", PROGRAM)) > 1  # imported, and more


@pytest.mark.parametrize(
    "kind",
    [ServiceRegistry, CircuitBreaker, Event, RegistryHealth, RegistrySettings],
    ids=lambda kind: kind.__name__,
)
def test_every_public_member_is_used(kind: type) -> None:
    members = {*vars(kind), *getattr(kind, "__annotations__", {})}
    public = {one for one in members if not one.startswith("_")} - NOT_FOR_PROGRAMS
    assert not {one for one in public if not re.search(rf"\b{one}\b", PROGRAM)}
