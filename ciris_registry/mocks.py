"""The stand-in that ``get_service_with_fallback`` gives where mock services are allowed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)


class MockService:
    """Every method can be awaited, logs the call and returns None."""

    def __init__(self, service_type: str) -> None:
        self.service_type = service_type

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        if name.startswith("__"):
            raise AttributeError(name)

        async def method(*_args: object, **_kwargs: object) -> None:
            _log.warning("mock %s service: %s() does nothing", self.service_type, name)

        return method

    def __repr__(self) -> str:
        return f"MockService({self.service_type!r})"
