"""Breakers in Redis: every question and every report is one atomic script call.

Owns one typed method for each script of a breaker, and decodes the replies. The scripts have the
rules; what a process does about a breaker that Redis has lost is decided elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ciris_registry.circuit_breaker import Admission, Outcome, Refusal, ReplyCode
from ciris_registry.store.records.decoding import counters, paired
from ciris_registry.store.records.replies import BatchedSuccesses, BreakerReply
from ciris_registry.store.script_runner import flat

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Mapping, Sequence

    from ciris_registry.circuit_breaker import CircuitBreakerConfig
    from ciris_registry.store.records.replies import OfflineMerge
    from ciris_registry.store.script_runner import PackedCall, ScriptRunner

_MOST_REMEMBERED: Final = 10_000
"""The most providers whose calls are kept packed; beyond it all are dropped."""


class BreakerStore:
    """The breakers of one namespace."""

    def __init__(self, calls: ScriptRunner) -> None:
        self._calls = calls
        self._success_calls: dict[tuple[str, str], tuple[int | None, PackedCall]] = {}

    def configure(
        self, service_type: str, name: str, config: CircuitBreakerConfig, *, explicit: bool
    ) -> Awaitable[BreakerReply]:
        """Give a breaker its settings; its state stays."""
        return self._change(
            "breaker_configure",
            service_type,
            name,
            process=self._calls.process,
            mode="explicit" if explicit else "default",
            settings=settings_of(config, self._calls.retention),
        )

    async def read(
        self, service_type: str, name: str
    ) -> tuple[dict[str, str], dict[str, int], dict[str, int]]:
        """A breaker's fields, permits and callers; empty if there is none."""
        reply = await self._calls.run("breaker_read", service_type, name)
        return dict(paired(reply[2])), counters(reply[3]), counters(reply[4])

    async def acquire(
        self, service_type: str, name: str, permit: str
    ) -> tuple[Admission, BreakerReply]:
        """Ask for admission."""
        reply = await self._calls.run(
            "breaker_acquire",
            service_type,
            name,
            provider=name,
            process=self._calls.process,
            permit=permit,
            lease_ms=self._calls.lease,
        )
        code = ReplyCode(reply[0])
        if code is ReplyCode.REFUSED:
            refusal = Refusal(reply[2], int(reply[3]))
            return Admission(code, refusal), _reply_of(reply, 4)
        if code is ReplyCode.PERMIT:
            return Admission(code, None, permit, int(reply[2])), _reply_of(reply, 3)
        return Admission(code), _reply_of(reply)

    def record(
        self,
        service_type: str,
        name: str,
        outcome: Outcome,
        permit: str = "",
        generation: int | None = None,
        *,
        batch: BatchedSuccesses | None = None,
    ) -> Awaitable[BreakerReply]:
        """Count one outcome, and the ``batch`` of successes before it.

        Only a call that just releases a permit may be sent twice.
        """
        return self._change(
            "breaker_record",
            service_type,
            name,
            repeatable=outcome == "released" and batch is None,
            process=self._calls.process,
            outcome=outcome,
            permit=permit,
            generation=_text(generation),
            successes=batch.successes if batch is not None else 0,
            age_ms=batch.age if batch is not None else 0,
            batch_generation=_text(batch.generation if batch is not None else None),
        )

    async def record_successes(
        self, service_type: str, counts: Sequence[BatchedSuccesses]
    ) -> list[ReplyCode]:
        """Count successes of many breakers, never twice; the reply code of each, in their order."""
        more_keys, args = self._successes(service_type, counts)
        reply = await self._calls.run(
            "breaker_record_successes",
            service_type,
            repeatable=False,
            more_keys=more_keys,
            **args,
        )
        return [ReplyCode(code) for code in reply[2:]]

    def post_success(
        self, service_type: str, name: str, generation: int | None
    ) -> tuple[PackedCall, asyncio.Future[Any]]:
        """Send one success at once, if ``Store.ready``; ``is_counted`` reads the reply."""
        known = self._success_calls.get((service_type, name))
        if known is None or known[0] != generation:
            more_keys, args = self._successes(
                service_type, [BatchedSuccesses(name, 1, 0, generation)]
            )
            call = self._calls.pack("breaker_record_successes", service_type, more_keys, **args)
            if len(self._success_calls) >= _MOST_REMEMBERED:
                self._success_calls.clear()
            known = self._success_calls[service_type, name] = (generation, call)
        return known[1], self._calls.post(known[1])

    def is_counted(self, call: PackedCall, posted: asyncio.Future[Any]) -> bool:
        """Whether Redis has counted a success; if not, await ``finish_success``."""
        reply = self._calls.taken(call, posted)
        return reply is not None and reply[2] == ReplyCode.COUNTED

    async def finish_success(self, call: PackedCall, posted: asyncio.Future[Any]) -> ReplyCode:
        """The code of the reply to a success that was not simply counted."""
        return ReplyCode((await self._calls.finish(call, posted))[2])

    def trip_local(
        self, service_type: str, name: str, duration: int, reason: str
    ) -> Awaitable[BreakerReply]:
        """Report a local trip for ``duration`` milliseconds; 0 reports its end."""
        return self._change(
            "breaker_trip_local",
            service_type,
            name,
            repeatable=False,
            process=self._calls.process,
            duration_ms=duration,
            reason=reason,
        )

    def override(
        self, service_type: str, name: str, override: str, reason: str, actor: str, duration: int
    ) -> Awaitable[BreakerReply]:
        """Force a breaker open or closed; an empty ``override`` clears it."""
        return self._change(
            "breaker_override",
            service_type,
            name,
            actor=actor or self._calls.process,
            override=override,
            reason=reason,
            duration_ms=duration,
        )

    def reset(
        self, service_type: str, name: str, reason: str, actor: str
    ) -> Awaitable[BreakerReply]:
        """Close a breaker and forget what it counted."""
        return self._change(
            "breaker_reset",
            service_type,
            name,
            actor=actor or self._calls.process,
            reason=reason,
        )

    def forget(self, service_type: str, name: str) -> Awaitable[BreakerReply]:
        """Remove a breaker, unless its provider still has a registration."""
        calls = self._calls
        return self._change(
            "breaker_forget",
            service_type,
            name,
            process=calls.process,
            keep_ms=2 * calls.lease + calls.retention,
        )

    def cool_down(
        self, service_type: str, name: str, duration: int, reason: str
    ) -> Awaitable[BreakerReply]:
        """Begin a cooldown of ``duration`` milliseconds."""
        return self._change(
            "breaker_cool_down",
            service_type,
            name,
            process=self._calls.process,
            duration_ms=duration,
            reason=reason,
        )

    def restore(
        self,
        service_type: str,
        name: str,
        config: CircuitBreakerConfig,
        remembered: Mapping[str, str],
        seen_at: int,
    ) -> Awaitable[BreakerReply]:
        """Put back a breaker that Redis has lost: its settings and its state, in one script call.

        Settings that Redis has stay. ``seen_at`` is the time of the server that had the breaker, as
        far as this process can tell.
        """
        settings = settings_of(config, self._calls.retention)
        return self._change(
            "breaker_restore",
            service_type,
            name,
            process=self._calls.process,
            seen_at=seen_at,
            settings=len(settings),
            remembered=[*settings, *flat(remembered)],
        )

    def merge_offline(
        self, service_type: str, name: str, merge: OfflineMerge
    ) -> Awaitable[BreakerReply]:
        """Add the outcomes that this process counted while Redis was away; never twice."""
        return self._change(
            "breaker_merge_offline",
            service_type,
            name,
            repeatable=False,
            process=self._calls.process,
            generation=merge.generation,
            successes=merge.successes,
            failures=merge.failures,
            streak=merge.streak,
            state="open" if merge.opened else "closed",
            cooldown_ms=merge.cooldown,
            age_ms=merge.age,
            wait_ms=merge.wait,
        )

    def _successes(
        self, service_type: str, counts: Sequence[BatchedSuccesses]
    ) -> tuple[list[str], dict[str, str | list[str | int]]]:
        """The keys and the arguments of a report."""
        keys = self._calls.keys(service_type)
        more_keys = [
            key for one in counts for key in (keys.breaker(one.name), keys.callers(one.name))
        ]
        columns = [
            part
            for one in counts
            for part in (one.name, one.successes, one.age, _text(one.generation))
        ]
        return more_keys, {"process": self._calls.process, "counts": columns}

    async def _change(
        self,
        script: str,
        service_type: str,
        name: str,
        *,
        repeatable: bool = True,
        **args: str | int | Sequence[str | int],
    ) -> BreakerReply:
        reply = await self._calls.run(
            script, service_type, name, more_keys=None, repeatable=repeatable, provider=name, **args
        )
        return _reply_of(reply)


def settings_of(config: CircuitBreakerConfig, retention: int) -> list[str | int]:
    """The settings of a breaker as ``field, value, …`` of its hash; ``retention`` in ms."""
    return flat({**config.fields(), "retention_ms": retention})


def _text(generation: int | None) -> int | str:
    """As the scripts take it."""
    return "" if generation is None else generation


def _reply_of(reply: Sequence[Any], start: int = 2) -> BreakerReply:
    code = ReplyCode(reply[0])
    if code is ReplyCode.MISSING:
        return BreakerReply(code, 0, {})
    return BreakerReply(code, int(reply[1]), dict(paired(reply[start:])))
