"""The error of a failed call, and all that its frames hold, goes as soon as the caller drops it."""

from __future__ import annotations

import pytest

from tests.running import QUIETLY, run


@pytest.mark.parametrize(
    "way",
    [
        "call",
        "late_call",
        "stream",
        "begun_stream",
        "late_stream",
        "acquire",
        "late_block",
        "retry",
        pytest.param("rounds", marks=pytest.mark.long_run),
    ],
)
def test_a_failing_call_kept_its_error_until_a_garbage_collection(way: str) -> None:
    assert run("failing_calls_make_no_garbage", way) == QUIETLY
