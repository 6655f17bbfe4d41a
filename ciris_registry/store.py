"""The one place that talks to Redis: one typed method for each script.

It refuses to select, to decide, to try again on its own and to log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from ciris_registry.breaker_rules import Admission, Outcome, Refusal, Verdict
from ciris_registry.event_reader import EventReader
from ciris_registry.events import Event
from ciris_registry.keys import TypeKeys, process_key, types_key
from ciris_registry.readback import counters, paired
from ciris_registry.replies import (
    BreakerReply,
    Loaded,
    Registered,
    Renewed,
    SlotReply,
    Synced,
    Version,
)
from ciris_registry.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from redis.asyncio import Redis

    from ciris_registry.backend import Backend
    from ciris_registry.breaker_config import CircuitBreakerConfig
    from ciris_registry.records import Registration
    from ciris_registry.replies import Learned, Tally
    from ciris_registry.settings import RegistrySettings


class Store:
    """The shared state of one namespace."""

    def __init__(
        self,
        client: Redis,
        backend: Backend,
        namespace: str,
        process: str,
        settings: RegistrySettings,
        trouble: Callable[[object], None] | None = None,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        # Who has somebody to tell of trouble is called again when it is over, and need not wait.
        patience = settings.patience if trouble is None else 0.0
        self.process = process
        self.namespace = namespace
        self._transport = Transport(
            client,
            backend.location.redacted,
            patience,
            backend.revive,
            trouble or (lambda _: None),
            answered,
        )
        self._keys: dict[str, TypeKeys] = {}
        self._lease = round(settings.lease * 1000)
        self._retention = round(settings.retention * 1000)
        self._share = repr(settings.mass_expiry_share)

    def keys(self, service_type: str) -> TypeKeys:
        """The keys of one service type."""
        keys = self._keys.get(service_type)
        if keys is None:
            keys = self._keys[service_type] = TypeKeys.of(self.namespace, service_type)
        return keys

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    # Registrations

    async def register(self, registration: Registration, *, rejoin: bool = False) -> Registered:
        """Write a registration and become its member.

        To ``rejoin`` is to become its member again: a record that is there is not changed.
        """
        word, *rest = await self._run(
            "provider_register",
            registration.service_type,
            registration.id,
            id=registration.id,
            name=registration.name,
            process=self.process,
            lease_ms=self._lease,
            retention_ms=self._retention,
            mode="rejoin" if rejoin else "register",
            record=_flat(registration.fields()),
        )
        if word != "changed":
            return Registered(word)
        return Registered(word, rest[1], rest[2], tuple(rest[3:]))

    async def unregister(self, registration: Registration) -> str:
        """End this process's membership; ``removed``, ``left`` or ``absent``."""
        reply = await self._run(
            "provider_unregister",
            registration.service_type,
            registration.id,
            id=registration.id,
            name=registration.name,
            process=self.process,
        )
        return str(reply[0])

    async def renew(
        self, service_type: str, ids: Sequence[str], breakers: Iterable[str], *, outage: bool
    ) -> Renewed:
        """Renew this process's leases, and keep what belongs to them."""
        keys = self.keys(service_type)
        reply = await self._run(
            "provider_renew",
            service_type,
            tail=[*map(keys.provider, ids), *map(keys.breaker, breakers)],
            process=self.process,
            lease_ms=self._lease,
            retention_ms=self._retention,
            outage=int(outage),
            share=self._share,
            ids=ids,
        )
        return Renewed(int(reply[1]), (reply[2], reply[3]), int(reply[4]), tuple(reply[5:]))

    async def sweep(self, service_type: str, ids: Iterable[str]) -> list[str]:
        """Remove expired members; the ids of registrations that went with the last of theirs."""
        known, keys = list(ids), self.keys(service_type)
        while True:
            word, *named = await self._run(
                "members_sweep",
                service_type,
                tail=[keys.provider(one) for one in known],
                process=self.process,
                lease_ms=self._lease,
                share=self._share,
                ids=known,
            )
            if word != "more":
                return named
            known += named

    async def leave(self, service_type: str) -> None:
        """Be present no longer: the permits that this process holds are free at once."""
        await self._run("process_leave", service_type, process=self.process)

    async def renew_process(
        self, host: str, pid: int, version: str, service_types: Sequence[str]
    ) -> None:
        """Say who this process is and which service types it uses."""
        keys = {
            "process": process_key(self.namespace, self.process),
            "types": types_key(self.namespace),
        }
        args: dict[str, str | int | Sequence[str | int]] = {
            "lease_ms": self._lease,
            "retention_ms": self._retention,
            "host": host,
            "pid": pid,
            "version": version,
            "used": service_types,
        }
        await self._transport.run(self._transport.scripts["process_renew"], keys, args)

    # The snapshot

    async def sync(
        self,
        service_type: str,
        version: Version,
        steps: Mapping[str, int],
    ) -> Synced:
        """Compare a copy's version with Redis, and take cursor steps along."""
        reply = await self._run(
            "snapshot_sync",
            service_type,
            epoch=version[0],
            revision=version[1],
            retention_ms=self._retention,
            steps=_flat(steps) if steps else (),
        )
        now, expired = int(reply[1]), int(reply[2])
        if reply[0] == "same":
            return Synced(now, expired, [int(one) for one in reply[3:]])
        listed = 6 + int(reply[5])
        orders = {one: float(order) for one, order in paired(reply[listed:])}
        positions = [int(one) for one in reply[6:listed]]
        return Synced(now, expired, positions, ((reply[3], reply[4]), orders))

    async def load(
        self, service_type: str, version: Version, ids: Sequence[str], names: Sequence[str]
    ) -> Loaded | None:
        """Read a service type whole as it is at ``version``; None if it has moved on."""
        keys = self.keys(service_type)
        hashes = [keys.provider(one) for one in ids]
        for name in names:
            hashes += (keys.breaker(name), keys.permits(name), keys.reporters(name))
        reply = await self._run(
            "snapshot_load",
            service_type,
            tail=hashes,
            epoch=version[0],
            revision=version[1],
            ids=len(ids),
        )
        if reply[0] == "moved":
            return None
        now, members, *rest = reply[1:]
        found = rest[len(ids) :]
        return Loaded(
            now=int(now),
            members=counters(members),
            records={one: dict(paired(flat)) for one, flat in zip(ids, rest, strict=False)},
            breakers={name: dict(paired(found[3 * i])) for i, name in enumerate(names)},
            permits={name: counters(found[3 * i + 1]) for i, name in enumerate(names)},
            reporters={name: counters(found[3 * i + 2]) for i, name in enumerate(names)},
        )

    async def take(self, service_type: str, cursor: str, steps: int) -> int:
        """Take the next positions of a round robin; the first of them. 0 steps only look."""
        reply = await self._run(
            "cursor_take", service_type, cursor=cursor, steps=steps, retention_ms=self._retention
        )
        return int(reply[1])

    # Breakers

    async def configure(
        self, service_type: str, name: str, config: CircuitBreakerConfig, *, explicit: bool
    ) -> BreakerReply:
        """Give a breaker its settings; its state stays."""
        reply = await self._run(
            "breaker_configure",
            service_type,
            name,
            provider=name,
            process=self.process,
            mode="explicit" if explicit else "default",
            settings=_flat({**config.fields(), "retention_ms": str(self._retention)}),
        )
        return _breaker_reply(reply)

    async def read_breaker(
        self, service_type: str, name: str
    ) -> tuple[dict[str, str], dict[str, int], dict[str, int]]:
        """A breaker's fields, permits and reporters; empty if there is none."""
        reply = await self._run("breaker_read", service_type, name)
        return dict(paired(reply[2])), counters(reply[3]), counters(reply[4])

    async def acquire(
        self, service_type: str, name: str, permit: str
    ) -> tuple[Admission, BreakerReply]:
        """Ask for admission."""
        reply = await self._run(
            "breaker_acquire",
            service_type,
            name,
            provider=name,
            process=self.process,
            permit=permit,
            lease_ms=self._lease,
        )
        verdict = Verdict(reply[0])
        if verdict is Verdict.REFUSED:
            refusal = Refusal(reply[2], int(reply[3]))
            return Admission(verdict, refusal), _breaker_reply(reply, 4)
        if verdict is Verdict.PERMIT:
            return Admission(verdict, None, permit, int(reply[2])), _breaker_reply(reply, 3)
        return Admission(verdict), _breaker_reply(reply)

    async def record(
        self,
        service_type: str,
        name: str,
        outcome: Outcome,
        permit: str = "",
        generation: int | None = None,
        *,
        successes: int = 0,
        age: int = 0,
    ) -> BreakerReply:
        """Count one outcome, and ``successes`` before it, the newest ``age`` milliseconds ago.

        Only the return of a permit, and nothing else, may be sent twice.
        """
        reply = await self._run(
            "breaker_record",
            service_type,
            name,
            repeatable=outcome == "returned" and not successes,
            provider=name,
            process=self.process,
            outcome=outcome,
            permit=permit,
            generation="" if generation is None else generation,
            successes=successes,
            age_ms=age,
        )
        return _breaker_reply(reply)

    async def tally(self, service_type: str, counts: Sequence[Tally]) -> list[Verdict]:
        """Count successes of many breakers, never twice; what became of each, in their order."""
        keys = self.keys(service_type)
        reply = await self._run(
            "breaker_tally",
            service_type,
            repeatable=False,
            tail=[
                key for one in counts for key in (keys.breaker(one.name), keys.reporters(one.name))
            ],
            process=self.process,
            counts=[
                "" if part is None else part
                for one in counts
                for part in (one.name, one.successes, one.age, one.generation)
            ],
        )
        return [Verdict(word) for word in reply[2:]]

    async def isolate(
        self, service_type: str, name: str, duration: int, reason: str
    ) -> BreakerReply:
        """Say that a breaker is open in this process alone for so long; 0: that it is no longer."""
        reply = await self._run(
            "breaker_isolate",
            service_type,
            name,
            repeatable=False,
            provider=name,
            process=self.process,
            duration_ms=duration,
            reason=reason,
        )
        return _breaker_reply(reply)

    async def override(
        self, service_type: str, name: str, override: str, reason: str, by: str, duration: int
    ) -> BreakerReply:
        """Put an operator's word over a breaker, or take it away (``""``)."""
        reply = await self._run(
            "breaker_override",
            service_type,
            name,
            provider=name,
            actor=by or self.process,
            override=override,
            reason=reason,
            duration_ms=duration,
        )
        return _breaker_reply(reply)

    async def reset(self, service_type: str, name: str, reason: str, by: str) -> BreakerReply:
        """Close a breaker and forget what it counted."""
        reply = await self._run(
            "breaker_reset",
            service_type,
            name,
            provider=name,
            actor=by or self.process,
            reason=reason,
        )
        return _breaker_reply(reply)

    async def cool_down(
        self, service_type: str, name: str, duration: int, reason: str
    ) -> BreakerReply:
        """Leave a provider alone for ``duration`` milliseconds."""
        reply = await self._run(
            "breaker_cool_down",
            service_type,
            name,
            provider=name,
            process=self.process,
            duration_ms=duration,
            reason=reason,
        )
        return _breaker_reply(reply)

    async def restore(
        self, service_type: str, name: str, remembered: Mapping[str, str], seen_at: int
    ) -> BreakerReply:
        """Put back what this process still knows of a breaker that Redis has lost.

        ``seen_at`` is the time of the server that it knows it from, as far as it can tell.
        """
        reply = await self._run(
            "breaker_restore",
            service_type,
            name,
            provider=name,
            process=self.process,
            seen_at=seen_at,
            remembered=_flat(remembered),
        )
        return _breaker_reply(reply)

    async def merge(self, service_type: str, name: str, learned: Learned) -> BreakerReply:
        """Add what this process learned of a breaker while Redis was away; never twice."""
        reply = await self._run(
            "breaker_merge",
            service_type,
            name,
            repeatable=False,
            provider=name,
            process=self.process,
            generation=learned.generation,
            successes=learned.successes,
            failures=learned.failures,
            streak=learned.streak,
            state="open" if learned.opened else "closed",
            cooldown_ms=learned.cooldown,
            age=learned.age,
            wait_ms=learned.wait,
        )
        return _breaker_reply(reply)

    # Slots

    async def take_slot(self, registration: Registration, slot: str) -> SlotReply:
        """Take one of the slots of a registration's provider, with one of one's own making."""
        word, _, *numbers = await self._run(
            "slot_take",
            registration.service_type,
            registration.id,
            process=self.process,
            slot=slot,
            limit="" if registration.max_in_flight is None else registration.max_in_flight,
            lease_ms=self._lease,
            retention_ms=self._retention,
        )
        return SlotReply(word, *map(int, numbers))

    async def return_slots(self, service_type: str, name: str, slots: Sequence[str]) -> None:
        """Slots of one provider are free again."""
        await self._run("slot_return", service_type, name, held=slots)

    async def renew_slots(self, service_type: str, held: Mapping[str, Sequence[str]]) -> None:
        """The calls that hold these slots, by provider, go on."""
        keys = self.keys(service_type)
        await self._run(
            "slot_renew",
            service_type,
            tail=[keys.slots(name) for name in held],
            lease_ms=self._lease,
            held=[
                part
                for number, slots in enumerate(held.values(), 1)
                for slot in slots
                for part in (number, slot)
            ],
        )

    # What operators look at, and events

    async def service_types(self) -> list[str]:
        """The service types in use, in alphabetical order."""
        key = types_key(self.namespace)
        return sorted(await self._transport.command(lambda redis: redis.smembers(key)))

    async def process_info(self, process: str) -> dict[str, str]:
        """Host, pid, version and start of a process; empty if it is gone."""
        key = process_key(self.namespace, process)
        return dict(await self._transport.command(lambda redis: redis.hgetall(key)))

    async def process_infos(self, processes: Iterable[str]) -> list[dict[str, str]]:
        """As ``process_info``, of many in one round trip; a damaged one is empty."""
        keys = [process_key(self.namespace, one) for one in processes]

        async def ask(redis: Redis) -> list[dict[str, str] | Exception]:
            pipeline = redis.pipeline(transaction=False)
            for key in keys:
                pipeline.hgetall(key)
            return await pipeline.execute(raise_on_error=False)

        found: list[dict[str, str] | Exception] = await self._transport.command(ask) if keys else []
        return [one if isinstance(one, dict) else {} for one in found]

    async def uptime(self) -> int | None:
        """Seconds since the server started; None where it does not say."""

        async def ask(redis: Redis) -> int | None:
            try:
                said: Any = await redis.info("server")  # pyright: ignore[reportUnknownMemberType]
                return int(said["uptime_in_seconds"])
            except (ResponseError, KeyError):
                return None

        seconds: int | None = await self._transport.command(ask)
        return seconds

    async def ping(self, limit: float) -> None:
        """Whether Redis answers at all, within ``limit`` seconds."""
        await self._transport.ping(limit)

    def doubt(self) -> None:
        """What does not answer may be the connection, and not Redis: take another one."""
        self._transport.doubt()

    async def last_event(self, service_type: str) -> str:
        """The id of the newest event, ``0-0`` if there is none."""
        key = self.keys(service_type).events
        entries = await self._transport.command(lambda redis: redis.xrevrange(key, count=1))
        return str(entries[0][0]) if entries else "0-0"

    async def latest_events(self, service_type: str, count: int) -> list[Event]:
        """The newest ``count`` events, the oldest of them first."""
        key = self.keys(service_type).events
        entries = await self._transport.command(lambda redis: redis.xrevrange(key, count=count))
        return [Event.parse(service_type, one, fields) for one, fields in reversed(entries)]

    async def events_after(self, after: Mapping[str, str], block: int) -> list[Event]:
        """One read of an ``event_reader``."""
        async with self.event_reader() as reader:
            return await reader.after(after, block) or []

    def event_reader(self) -> EventReader:
        """What reads the streams as they grow, on a connection of its own."""
        return EventReader(self._transport, lambda one: self.keys(one).events)

    async def _run(
        self,
        name: str,
        service_type: str,
        subject: str = "",
        /,
        *,
        tail: Sequence[str] | None = None,
        repeatable: bool = True,
        **args: str | int | Sequence[str | int],
    ) -> list[Any]:
        """Call a script; its keys are the service type's, and ``tail`` where they are variadic."""
        script = self._transport.scripts[name]
        names = script.keys if tail is None else script.keys[:-1]
        keys: dict[str, str | Sequence[str]] = {
            **self.keys(service_type).for_script(names, subject)
        }
        if tail is not None:
            keys[script.keys[-1]] = tail
        return await self._transport.run(script, keys, args, repeatable=repeatable)


def _flat(pairs: Mapping[str, str | int]) -> list[str | int]:
    return [part for pair in pairs.items() for part in pair]


def _breaker_reply(reply: Sequence[Any], start: int = 2) -> BreakerReply:
    verdict = Verdict(reply[0])
    if verdict is Verdict.MISSING:
        return BreakerReply(verdict, 0, {})
    return BreakerReply(verdict, int(reply[1]), dict(paired(reply[start:])))
