"""What callers read about a call that no provider could serve, or that cannot be made."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from ciris_registry.shared_breaker import in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ciris_registry.errors import NoProviderError

_IN_VAIN: Final = "called in vain: "


def explain_failure(
    failure: Exception, tried: Mapping[str, Exception | None], rest: NoProviderError
) -> None:
    """Note in the last failure which providers failed, and why no other one was called."""
    others = f"; {rest}" if any(one.name not in tried for one in rest.reasons) else ""
    called = ", ".join(
        f"{name} ({'its answer' if error is None else in_words(error)})"
        for name, error in tried.items()
    )
    with contextlib.suppress(Exception):  # a program's exceptions need not allow that
        notes = getattr(failure, "__notes__", [])
        # A failure that is raised again and again has such a note already.
        notes[:] = [note for note in notes if not note.startswith(_IN_VAIN)]
        failure.add_note(f"{_IN_VAIN}{called}{others}")


def not_awaitable(given: object, *, streams: bool = False) -> str:
    """What to do if the function that was called gave something that a call cannot use."""
    kind = type(given).__name__
    if streams:
        return f"what was called gave a {kind}, which is no stream; await registry.call(…)"
    if hasattr(given, "__aiter__"):
        return f"what was called gave a stream ({kind}); iterate over registry.stream(…)"
    return (
        f"what was called gave a {kind}, which cannot be awaited; call an async function, or "
        f"asyncio.to_thread with a blocking one"
    )
