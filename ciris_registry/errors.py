"""The errors that a program may catch; all are a ``RegistryError``.

The package's front page has the common ones; the others are imported from here. Errors of a wrong
installation or tool are defined where they arise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ciris_registry.explanation import Explanation

__all__ = [
    "AccessDeniedError",
    "CallCancelledError",
    "CallTimeoutError",
    "CircuitBreakerError",
    "ClosedError",
    "CommandRefusedError",
    "CorruptStateError",
    "DeadlineExceededError",
    "EmbeddedServerError",
    "ForkedError",
    "IndeterminateWriteError",
    "InvalidNameError",
    "InvalidURLError",
    "NoProviderError",
    "NotAwaitableError",
    "PartitionConflictError",
    "ProxyError",
    "RegistrationError",
    "RegistryError",
    "SettingsError",
    "StoreError",
    "StoreUnavailableError",
]


class RegistryError(Exception):
    """The base class of all errors of this package."""


class InvalidURLError(RegistryError, ValueError):
    """The URL of the store is invalid; ``reason`` says what to change.

    The message never contains the URL: any part of a malformed URL may be a password.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PartitionConflictError(RegistryError):
    """Two processes name different numbers of partitions for one namespace.

    The process goes by the ``recorded`` number, so that the fleet shares its state; ``named`` is
    its own. Give all processes one number, or leave it out. To change the number of a namespace,
    stop its processes and delete the key that the message names.
    """

    def __init__(self, namespace: str, named: int, recorded: int) -> None:
        super().__init__(
            f"this process names {named} partitions, but namespace {namespace} has {recorded}, "
            f"which this process uses: name {recorded} or none; to change the number, stop all "
            f"processes and delete the key ciris:v2:{{{namespace}/0}}:namespace"
        )
        self.namespace = namespace
        self.named = named
        self.recorded = recorded


class EmbeddedServerError(RegistryError):
    """The server of an ``embedded://`` URL cannot be used.

    ``reason`` says why and what to do. ``log`` is the end of the server's log, or empty.
    """

    def __init__(self, reason: str, log: str = "") -> None:
        super().__init__(f"{reason}\n{log}" if log else reason)
        self.reason = reason
        self.log = log


class InvalidNameError(RegistryError, ValueError):
    """A name, handler, service type or namespace is invalid.

    ``kind`` says which of them; ``character`` is the first character that is not allowed, None if
    the length or the type is wrong.
    """

    def __init__(self, kind: str, name: str, character: str | None, problem: str) -> None:
        super().__init__(f"{kind} {name!r} {problem}")
        self.kind = kind
        self.name = name
        self.character = character


class SettingsError(RegistryError, ValueError):
    """Settings are out of their bounds; ``problems`` names all of them, one text each."""

    def __init__(self, what: str, problems: tuple[str, ...]) -> None:
        super().__init__(f"{what}: {'; '.join(problems)}")
        self.problems = problems


class RegistrationError(RegistryError, ValueError):
    """An argument is invalid; nothing was registered, bound or called."""


class StoreError(RegistryError):
    """Redis replied with an error, ``problem``; ``url`` is its URL without credentials.

    ``command`` names the command or script that was refused, empty if that is not known.
    """

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"{url} cannot be used: {problem}")
        self.url = url
        self.problem = problem
        self.command = ""


class CorruptStateError(StoreError):
    """One of the registry's keys holds a value that another program wrote. Delete the key."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(
            url,
            f"a key is damaged ({problem}); delete it with redis-cli: running processes write it "
            f"again within one heartbeat",
        )


class StoreUnavailableError(StoreError):
    """Redis was unreachable for as long as the call waited; a later call may succeed."""


class AccessDeniedError(StoreUnavailableError):
    """Redis refuses this process: its password, its permissions or its database are wrong.

    The registry treats Redis as unreachable and goes on without it. Change the URL or the server.
    """


class CommandRefusedError(StoreUnavailableError):
    """The reply is an error that the registry does not know; the message has the server's words.

    The registry treats Redis as unreachable. A write that Redis goes on refusing while it takes
    others is set aside: see ``RegistryHealth.rejected_writes``.
    """


class IndeterminateWriteError(StoreUnavailableError):
    """The connection broke before the reply: Redis may have made the write, or not."""


class ClosedError(RegistryError):
    """A registry was used after ``aclose()``; create a new one."""


class ForkedError(RegistryError):
    """A registry was used in a fork of the process that created it; create a new one in the fork.

    ``pid`` is the process that created it.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(
            f"this registry belongs to process {pid}, and this process is a fork of it: create a "
            f"new registry here"
        )
        self.pid = pid


class CircuitBreakerError(RegistryError):
    """The breaker refused a call.

    ``name`` is the breaker's. ``reason`` is one of ``open``, ``half_open`` (all permits are taken),
    ``open_locally`` (in this process only, or its one trial is running), ``cooling_down`` and
    ``forced_open``. ``retry_after`` is the number of seconds until a call may be admitted, None if
    that is unknown.
    """

    def __init__(self, name: str, reason: str = "open", retry_after: float | None = None) -> None:
        # Programs match on this sentence of the in-process system.
        super().__init__(f"Circuit breaker '{name}' is open, service unavailable")
        self.name = name
        self.reason = reason
        self.retry_after = retry_after


class NoProviderError(RegistryError):
    """No provider can serve a guarded call now.

    ``reasons`` has the reason of each rejected registration. ``retry_after`` is the number of
    seconds until the first of them may serve, None if that is unknown. ``registered_for`` are the
    handlers that the service type is registered for, ``*`` and ``global`` among them.
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
        text = "; ".join(map(_text_of, self.reasons)) or "none is registered"
        if registered_for and not reasons:
            text += f" for it, only for {', '.join(registered_for)}"
        super().__init__(f"no provider of {service_type} can serve {handler} now: {text}")


class CallTimeoutError(RegistryError, TimeoutError):
    """A provider took longer than its breaker's ``timeout_duration``, which is a failure of it.

    ``provider`` is its name, ``seconds`` the time that the call waited.
    """

    def __init__(self, provider: str, seconds: float) -> None:
        super().__init__(f"{provider} did not answer within {seconds:g} s")
        self.provider = provider
        self.seconds = seconds


class CallCancelledError(RegistryError):
    """A provider cancelled its own call: its client or a task of it, not the caller.

    It is a failure of the provider, by its name ``provider``; the cancellation is the cause.
    """

    def __init__(self, provider: str) -> None:
        super().__init__(f"the call of {provider} was cancelled from inside")
        self.provider = provider


class DeadlineExceededError(RegistryError, TimeoutError):
    """A guarded call did not end within its ``deadline`` of ``seconds``.

    It counts as no provider's failure.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the call was not done within its deadline of {seconds:g} s")
        self.seconds = seconds


class ProxyError(RegistryError, AttributeError):
    """A proxy has no such method; the message says what to use instead."""


class NotAwaitableError(RegistryError, TypeError):
    """The called function returned nothing that can be awaited or iterated; no outcome counts."""


def _text_of(reason: Explanation) -> str:
    wait = "" if reason.retry_after is None else f", again in {reason.retry_after:.1f} s"
    return f"{reason.name} ({reason.reason}{wait})"
