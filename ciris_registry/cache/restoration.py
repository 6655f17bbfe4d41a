"""Restoring what Redis has lost: the breakers and registrations that this process remembers.

Decides what is put back, and says in one log line and one event what came back. The scripts decide
which of two states is the newer one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ciris_registry.cache.replica import is_older, refuses_calls
from ciris_registry.circuit_breaker import ReplyCode
from ciris_registry.store import remembered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ciris_registry.cache.desired_state import DesiredState
    from ciris_registry.cache.replica import Snapshot
    from ciris_registry.circuit_breaker import BreakerState
    from ciris_registry.store import Store

_log = logging.getLogger(__name__)

_SHOWN: Final = 20
"""Names that the log line and the event contain at most."""


async def restore_all(
    store: Store, desired: DesiredState, known: Snapshot, now: int, reason: str
) -> None:
    """Redis has lost a service type, or its newest data: put back all that is ``known``.

    ``now`` is the time of the server that had it, as far as this process can tell.
    """
    desired.forget_announcements()
    own = list(desired.registrations(known.service_type))
    await restore(store, desired, known, own, list(known.breakers), now, reason)


async def restore(
    store: Store,
    desired: DesiredState,
    known: Snapshot,
    ids: Sequence[str],
    breakers: Iterable[str],
    now: int,
    reason: str,
) -> None:
    """Put back breakers and registrations of this process that Redis has lost.

    The breakers go first: a registration that comes back brings callers with it.
    """
    restored = await restore_breakers(store, desired, known, breakers, now)
    await desired.rewrite(store, known, ids)
    kind = known.service_type
    _log.warning(
        "%s of service type %s; put back by this process: %s",
        reason,
        kind,
        _in_words(restored, len(ids)),
        extra={"service_type": kind, "breakers": restored, "registrations": list(ids)},
    )
    if restored or ids:
        await store.snapshots.announce_restored(kind, reason, " ".join(restored[:_SHOWN]), len(ids))


async def restore_times(store: Store, desired: DesiredState, known: Snapshot, now: int) -> None:
    """The server's clock was set: move the deadlines that this process knows along with it.

    ``now`` is the time by the clock as it was before.
    """
    names = [
        name
        for name, one in known.breakers.items()
        if refuses_calls(one) or one.cooldown_until > now or one.consecutive_failures
    ]
    moved = await restore_breakers(store, desired, known, names, now)
    if moved:
        _log.warning(
            "the clock of Redis was set; times of service type %s moved with it: %s",
            known.service_type,
            _in_words(moved, 0),
            extra={"service_type": known.service_type, "breakers": moved},
        )


async def restore_breakers(
    store: Store, desired: DesiredState, known: Snapshot, names: Iterable[str], now: int
) -> list[str]:
    """Put back breakers with their settings; the names of those that had been lost.

    Those that refuse calls go first.
    """
    kind, restored = known.service_type, list[str]()
    own = {one.name for one in list(desired.registrations(kind).values())}
    for name in sorted(names, key=lambda one: not refuses_calls(known.breakers[one])):
        breaker = known.breakers[name]
        if is_decided(breaker):
            reply = await store.breakers.restore(
                kind, name, breaker.config, remembered(breaker), now
            )
            if reply.code is ReplyCode.RESTORED:
                restored.append(name)
        elif name in own and desired.knows_settings(breaker.config):
            await store.breakers.configure(kind, name, breaker.config, explicit=False)
    return restored


def is_decided(breaker: BreakerState) -> bool:
    """Whether anything has happened to a breaker that a new one does not have."""
    return bool(breaker.changed_at or breaker.cooldown_until)


def overtaken(
    known: Mapping[str, BreakerState], read: Mapping[str, BreakerState], now: int
) -> list[str]:
    """The breakers of which Redis has an older state than the one ``known`` before it was read."""
    return [
        name
        for name, one in read.items()
        if (before := known.get(name)) is not None and is_older(one, before, now)
    ]


def _in_words(breakers: Sequence[str], registrations: int) -> str:
    parts = [f"the breaker of {one}" for one in breakers[:_SHOWN]]
    if len(breakers) > _SHOWN:
        parts.append(f"{len(breakers) - _SHOWN} more breakers")
    if registrations:
        parts.append(f"{registrations} registration{'s' * (registrations > 1)} of its own")
    return ", ".join(parts) or "nothing, it was there again"
