"""Lengths of time as an operator writes and reads them."""

from __future__ import annotations

import pytest

from ciris_registry.cli.formatting.durations import parse_duration, shown_duration


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("90s", 90_000),
        ("10m", 600_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("1h30m", 5_400_000),
        ("1.5s", 1500),
        ("250ms", 250),
        (" 5M ", 300_000),
    ],
)
def test_lengths_are_read_with_their_units(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", "10", "0s", "-5s", "ten minutes", "1h 30m", "1e3s", "nans", "5000d", "٣s"]
)
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"use 90s, 10m, 2h, 1d or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (1, "1 s"),
        (11_001, "12 s"),
        (60_000, "1 m"),
        (200_000, "3 m 20 s"),
        (3_600_000, "1 h"),
        (3_605_000, "1 h"),
        (93_600_000, "1 d 2 h"),
    ],
)
def test_lengths_are_shown_in_their_two_largest_units(milliseconds: int, text: str) -> None:
    assert shown_duration(milliseconds) == text
