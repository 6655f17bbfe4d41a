"""Texts for callers and the log: why no other provider was called, whose mistake an error is."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from ciris_registry.shared_breaker import in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ciris_registry.errors import NoProviderError

_log = logging.getLogger(__name__)

_MOST_REMEMBERED: Final = 10_000
"""The most mistakes that were logged; beyond it all are dropped."""

_logged: Final[set[tuple[str, str, str]]] = set()

_FAILED: Final = "providers that failed: "


def explain_failure(
    failure: Exception, tried: Mapping[str, Exception | None], rest: NoProviderError
) -> None:
    """Add a note to the last failure: which providers failed, and why no other was called."""
    others = f"; {rest}" if any(one.name not in tried for one in rest.reasons) else ""
    called = ", ".join(
        f"{name} ({'its answer' if error is None else in_words(error)})"
        for name, error in tried.items()
    )
    with contextlib.suppress(Exception):  # an exception of a program may not accept notes
        notes = getattr(failure, "__notes__", [])
        # An error object that is raised repeatedly may have such a note already.
        notes[:] = [note for note in notes if not note.startswith(_FAILED)]
        failure.add_note(f"{_FAILED}{called}{others}")


def not_awaitable(given: object, *, streams: bool = False) -> str:
    """The message for a function that returned an object of the wrong kind."""
    kind = type(given).__name__
    if streams:
        return f"what was called gave a {kind}, which is no stream; await registry.call(…)"
    if hasattr(given, "__aiter__"):
        return f"what was called gave a stream ({kind}); iterate over registry.stream(…)"
    return (
        f"what was called gave a {kind}, which cannot be awaited; call an async function, or "
        f"asyncio.to_thread with a blocking one"
    )


def log_mistake(provider: tuple[str, str], error: BaseException, when: str) -> None:
    """Log a program's own error, once for each provider and type."""
    service_type, name = provider
    key = (service_type, name, type(error).__qualname__)
    if key in _logged:
        return
    if len(_logged) >= _MOST_REMEMBERED:
        _logged.clear()
    _logged.add(key)
    _log.warning(
        "a call of %s of %s raised %s %s: it counts as the program's error, and opens no breaker",
        name,
        service_type,
        key[2],
        when,
        extra={"service_type": service_type, "provider": name, "error": key[2]},
    )
