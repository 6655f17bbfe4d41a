"""An operator's connection to the shared state, for the length of one command.

It is not a process of the fleet: it has no lease, registers nothing and expires no members.
"""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING

from ciris_registry.errors import InvalidURLError
from ciris_registry.names import namespace_name
from ciris_registry.settings import RegistrySettings
from ciris_registry.store import Store, Stores, host_name
from ciris_registry.store.connection import Clients, StoreURL

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_WRITE_TIMEOUT = 0.3
"""Seconds for which a refused connection is retried; short, as a person is waiting."""


class OperatorSession:
    """``async with`` gives the stores of one namespace.

    Raises:
        InvalidURLError: The URL is invalid, or its state belongs to one process only.
        InvalidNameError: The namespace's name is invalid.
    """

    def __init__(self, url: str | None, namespace: str) -> None:
        parsed = StoreURL.parse(url or "memory://")
        if parsed.scheme == "memory":
            raise InvalidURLError(
                "memory://, the default URL, is private to each process: name the fleet's state "
                "with --url redis://host:6379/0 or in CIRIS_REGISTRY_URL"
            )
        self.url = parsed.redacted
        self._namespace = namespace_name(namespace)
        self._clients = Clients(parsed)
        self._stores: Stores | None = None
        self.answered: Callable[[], None] = lambda: None

    async def __aenter__(self) -> Stores:
        await self._clients.revive()
        settings = RegistrySettings(write_timeout=_WRITE_TIMEOUT)

        def new_store(partition: int) -> Store:
            return Store(
                self._clients,
                self._namespace,
                operator_name(),
                settings,
                partition,
                on_reply=self.answered,
            )

        self._stores = Stores(new_store)
        return self._stores

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._stores is not None:
                await self._stores.aclose()
        finally:
            self._clients.release()


def operator_name() -> str:
    """``user@host`` of the user who runs this command."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid{os.getuid()}"
    return f"{user}@{host_name()}"
