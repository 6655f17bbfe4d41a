"""The way to the server that has our keys; it is asked for whenever a connection opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ciris_registry.store.connection.routing.asking import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from ciris_registry.store.connection.routing.address import Address


class Route(Protocol):
    """The way to one partition of one namespace.

    ``redirects`` says whether its servers answer with MOVED and ASK, which name the server to ask.
    """

    redirects: bool

    async def connect(self, at: Address | None = None) -> Any:  # redis-py's connection
        """A connection of redis-py, open and logged in.

        ``at`` is the server that a redirection has named. The caller closes the connection.

        Raises:
            redis.exceptions.RedisError: No server can be reached that has our keys.
            OSError: As above.
        """


class DirectRoute:
    """The way to one server, whose address is in the URL. ``make`` makes a connection to it."""

    redirects = False

    def __init__(self, make: Callable[[], Any]) -> None:  # redis-py's pools are without types
        self._make = make

    async def connect(self, at: Address | None = None) -> Any:  # noqa: ARG002 # a Route's
        """As ``Route.connect``; ``at`` does not occur."""
        return await connect(self._make())
