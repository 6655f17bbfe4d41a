"""A cancellation at any await leaves nothing taken, and the registry goes on."""

from __future__ import annotations

import pytest

from tests.programs.cancels_at_every_step import ACTS, PROVIDERS
from tests.running import run


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_call_may_be_cancelled_at_every_step(url: str, provider: str) -> None:
    code, output, errors = run("cancels_at_every_step", url, provider)
    assert (code, errors) == (0, ""), output
    steps = dict(line.split() for line in output.splitlines())
    assert list(steps) == list(ACTS)
    assert all(int(steps[act]) > 0 for act in ACTS if act != "flush"), steps
