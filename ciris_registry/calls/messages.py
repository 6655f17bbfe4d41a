"""Texts for callers: why no other provider was called, and what cannot be called."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from ciris_registry.shared_breaker import in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ciris_registry.errors import NoProviderError

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
