"""The errors that one error wraps: its causes, and what it was raised in the handling of.

``raise … from`` names a cause. Without it, Python notes the error that was being handled; it counts
unless ``from None`` says that it does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ciris_registry.circuit_breaker.outcomes.safe_access import attribute
from ciris_registry.errors import CallTimeoutError, RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Frameworks wrap once or twice; a longer chain comes from layers of the program.
_MOST_WRAPPED: Final = 5


def chain_of(error: object, is_known: Callable[[], bool]) -> Iterator[object]:
    """The error, and what it wraps, the outermost first.

    An error without ``from`` counts for what it was raised in the handling of only as long as
    ``is_known()`` is false: one with facts of its own says what happened after it. The chain ends
    before an error of a registry, which has counted it, and behind a timeout or a broken
    connection, which say themselves what happened.
    """
    seen: list[object] = []
    while error is not None and len(seen) <= _MOST_WRAPPED:
        if any(error is one for one in seen):
            return
        # Not isinstance: a foreign object may raise from its ``__class__``.
        kind = type(error)
        if issubclass(kind, RegistryError) and not issubclass(kind, CallTimeoutError):
            return
        seen.append(error)
        yield error
        if issubclass(kind, TimeoutError):
            return
        cause = attribute(error, "__cause__")
        if (
            cause is None
            and not issubclass(kind, ConnectionError)
            and not attribute(error, "__suppress_context__")
            and not is_known()
        ):
            cause = attribute(error, "__context__")
        error = cause


def all_wrapped(error: BaseException) -> Iterator[BaseException]:
    """The error, and all that it wraps, as Python shows them."""
    seen: list[BaseException] = []
    while len(seen) <= _MOST_WRAPPED and not any(error is one for one in seen):
        seen.append(error)
        yield error
        inner = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if inner is None:
            return
        error = inner
