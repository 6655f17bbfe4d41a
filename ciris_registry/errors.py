"""The errors that callers of ciris_registry can catch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ciris_registry.explanation import Explanation


class RegistryError(Exception):
    """The root of every error that this package raises on purpose."""


class InvalidURLError(RegistryError, ValueError):
    """A URL that does not say where the state lives; ``reason`` says what to change.

    The URL itself is never in it, because nobody can tell which part of a malformed one is a
    password.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EmbeddedServerError(RegistryError):
    """An ``embedded://`` server cannot be used.

    ``reason`` says why and what to do, ``log`` is the end of the server's own log, if there is one.
    """

    def __init__(self, reason: str, log: str = "") -> None:
        super().__init__(f"{reason}\n{log}" if log else reason)
        self.reason = reason
        self.log = log


class InvalidNameError(RegistryError, ValueError):
    """A name that cannot be one; ``kind`` says which sort, ``character`` what offends, if any."""

    def __init__(self, kind: str, name: str, character: str | None, problem: str) -> None:
        super().__init__(f"{kind} {name!r} {problem}")
        self.kind = kind
        self.name = name
        self.character = character


class SettingsError(RegistryError, ValueError):
    """Settings out of their bounds; ``problems`` lists every one of them."""

    def __init__(self, what: str, problems: tuple[str, ...]) -> None:
        super().__init__(f"{what}: {'; '.join(problems)}")
        self.problems = problems


class RegistrationError(RegistryError, ValueError):
    """A registration that cannot be made; nothing was registered."""


class StoreError(RegistryError):
    """Redis answered with an error; ``url`` is its URL without credentials."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"{url} cannot be used: {problem}")
        self.url = url
        self.problem = problem


class CorruptStateError(StoreError):
    """Somebody wrote another type of value under one of the registry's keys."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(
            url,
            f"a key is damaged ({problem}); delete it with redis-cli, and the processes that live "
            f"write it anew within a heartbeat",
        )


class StoreUnavailableError(StoreError):
    """Redis could not be reached, and stayed away for as long as was waited."""


class AccessDeniedError(StoreUnavailableError):
    """Redis is there and refuses this process: its password, its rights or its database are wrong.

    It counts as away, so that a program goes on; nothing but a change of the URL or of the server
    ends that.
    """


class IndeterminateWriteError(StoreUnavailableError):
    """The connection broke before the answer came: Redis may have done it, or not."""


class ClosedError(RegistryError):
    """A registry was used after ``aclose()``; make a new one."""


class ForkedError(RegistryError):
    """A registry was used in a forked copy of the process that made it; make a new one there.

    ``pid`` is the process that made it.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(
            f"this registry belongs to process {pid}, and this one is a fork of it: make a new "
            f"registry here"
        )
        self.pid = pid


class CircuitBreakerError(RegistryError):
    """A call was refused because the breaker does not let it through.

    ``name`` is the breaker's, ``reason`` one of ``open``, ``half_open`` (its permits are out),
    ``open_locally`` (in this process only, or its trial is out), ``cooling_down`` and
    ``forced_open``;
    ``retry_after`` is the number of seconds until it might let one through, ``None`` if nobody
    knows.
    """

    def __init__(self, name: str, reason: str = "open", retry_after: float | None = None) -> None:
        # Programs match on this sentence of the in-process system.
        super().__init__(f"Circuit breaker '{name}' is open, service unavailable")
        self.name = name
        self.reason = reason
        self.retry_after = retry_after


class NoProviderError(RegistryError):
    """Nobody can serve a guarded call now.

    ``reasons`` says of each registration why it was left out; ``retry_after`` is the number of
    seconds until the first of them might serve again, None if nobody knows. ``registered_for`` are
    the handlers for whom the service type is registered, ``*`` and ``global`` among them.
    """

    def __init__(
        self,
        handler: str,
        service_type: str,
        reasons: Sequence[Explanation],
        registered_for: Sequence[str] = (),
    ) -> None:
        waits = [one.retry_after for one in reasons if one.retry_after is not None]
        self.handler = handler
        self.service_type = service_type
        self.reasons = tuple(reasons)
        self.retry_after = min(waits, default=None)
        self.registered_for = tuple(registered_for)
        told = "; ".join(map(_told, self.reasons)) or "none is registered"
        if registered_for and not reasons:
            told += f" for it, only for {', '.join(registered_for)}"
        super().__init__(f"no provider of {service_type} can serve {handler} now: {told}")


class CallTimeoutError(RegistryError, TimeoutError):
    """A provider took longer than its breaker's ``timeout_duration``; that counts as its failure.

    ``provider`` is its name, ``seconds`` how long was waited.
    """

    def __init__(self, provider: str, seconds: float) -> None:
        super().__init__(f"{provider} did not answer within {seconds:g} s")
        self.provider = provider
        self.seconds = seconds


class DeadlineExceededError(RegistryError, TimeoutError):
    """A guarded call was not done by its caller's ``deadline``; no provider is blamed for that."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the call was not done within its deadline of {seconds:g} s")
        self.seconds = seconds


class ProxyError(RegistryError, AttributeError):
    """A proxy cannot have this attribute; the message says what to do instead."""


class NotAwaitableError(RegistryError, TypeError):
    """What was to be called is not what a guarded call can make; nothing was counted."""


def _told(reason: Explanation) -> str:
    wait = "" if reason.retry_after is None else f", again in {reason.retry_after:.1f} s"
    return f"{reason.name} ({reason.reason}{wait})"
