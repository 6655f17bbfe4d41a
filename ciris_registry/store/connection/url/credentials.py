"""User and password, asked for whenever a connection opens, so that they may change at any time.

An error while they are asked for means that there is no connection; it reaches no caller.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as RedisConnectionError

from ciris_registry.errors import RegistrationError
from ciris_registry.store.connection.own_thread import OwnThreads

if TYPE_CHECKING:
    from collections.abc import Callable

Password: TypeAlias = "str | Callable[[], Any] | CredentialProvider"  # noqa: S105 # a type
"""A password; what returns one, or ``(user, password)``, or an awaitable of either; or a
``CredentialProvider`` of redis-py."""


def check_password(password: object, username: str | None, *, has_own: bool) -> None:
    """Check the ``password`` of a registry whose URL has a ``username``, or a password of its own.

    Raises:
        RegistrationError: It is invalid, or both are given.
    """
    is_provider = isinstance(password, CredentialProvider)
    if not (isinstance(password, str) or is_provider or callable(password)):
        raise RegistrationError(
            f"the password is of type {type(password).__name__}; use a string, a function that "
            "returns one, or a CredentialProvider of redis-py"
        )
    if has_own or (is_provider and username is not None):
        raise RegistrationError("the URL and password= both give credentials; keep one of them")


def login_of(username: str | None, password: Password | None) -> dict[str, Any]:
    """The options of redis-py with which a connection logs in."""
    if password is None or isinstance(password, str):
        return {"username": username, "password": password}
    return {"credential_provider": _Asked(username, password)}


class _Asked(CredentialProvider):
    """Asks a function, or another provider, for user and password."""

    def __init__(
        self, username: str | None, password: Callable[[], Any] | CredentialProvider
    ) -> None:
        self._username = username
        self._password = password
        self._threads = OwnThreads()

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Not used: connections are opened in an event loop."""
        raise NotImplementedError

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """User and password as they are now."""
        try:
            found = await self._ask()
        except Exception as error:
            problem = f"the password could not be asked for: {type(error).__name__}: {error}"
            raise RedisConnectionError(problem) from error
        return self._checked(found)

    async def _ask(self) -> Any:
        asked = self._password
        if isinstance(asked, CredentialProvider):
            # The method that redis-py's providers inherit calls the other one in the event loop.
            own = type(asked).get_credentials_async is not CredentialProvider.get_credentials_async
            work: Any = asked.get_credentials_async if own else asked.get_credentials
        else:
            work = asked
        if inspect.iscoroutinefunction(work):
            return await work()
        found = await self._threads.run("password", work)
        return await found if inspect.isawaitable(found) else found

    def _checked(self, found: Any) -> tuple[str] | tuple[str, str]:
        if isinstance(found, tuple):
            return cast("tuple[str, str]", found)  # as redis-py declares it
        if not isinstance(found, str):
            kind = type(found).__name__
            raise RedisConnectionError(f"password= returned {kind}; it must return a string")
        return (found,) if self._username is None else (self._username, found)

    def __repr__(self) -> str:
        return "_Asked(***)"
