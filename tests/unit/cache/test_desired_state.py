"""The registrations of this process change while its event loop reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from ciris_registry import RegistrySettings
from ciris_registry.cache import DesiredState

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.registration import Registration


class _Meanwhile:
    """A registration; as soon as it is read, another thread registers one more."""

    def __init__(self, desired: DesiredState, number: int) -> None:
        self._desired = desired
        self._number = number
        self.service_type = "llm"
        self.id = f"registration {number}"

    @property
    def name(self) -> str:
        """The name."""
        if self._number < 5:
            self._desired.add(
                cast("Registration", _Meanwhile(self._desired, self._number + 1)), None
            )
        return f"provider {self._number}"


@pytest.mark.parametrize(
    "read",
    [
        lambda desired: desired.config_for("llm", "another"),
        lambda desired: [one.name for one in desired.all()],
    ],
)
def test_a_thread_that_registered_broke_the_loop(read: Callable[[DesiredState], object]) -> None:
    """RuntimeError: dictionary changed size during iteration."""
    desired = DesiredState(RegistrySettings())
    desired.add(cast("Registration", _Meanwhile(desired, 0)), None)
    read(desired)
    read(desired)
