"""The one place that talks to Redis: one typed method for each script.

It refuses to select, to decide and to log. A command that finds Redis away is tried again for
``patience`` seconds; a script that the server has forgotten is loaded again unnoticed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from redis.exceptions import NoScriptError, RedisError, ResponseError

from ciris_registry.breaker_rules import Admission, Outcome, Refusal, Verdict
from ciris_registry.errors import DamagedStateError, StoreError, StoreUnavailableError
from ciris_registry.events import Event
from ciris_registry.keys import TypeKeys, process_key, types_key
from ciris_registry.readback import counters, paired
from ciris_registry.retrying import UNREACHABLE, persistently
from ciris_registry.scripts import load_scripts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.asyncio import Redis

    from ciris_registry.breaker_config import CircuitBreakerConfig
    from ciris_registry.records import Registration
    from ciris_registry.settings import RegistrySettings

Version = tuple[str, str]
"""Epoch and revision of a service type's data, as Redis has them; compared for equality only."""

NOTHING: Version = ("", "0")
"""The version of a service type that Redis knows nothing of."""


class Synced(NamedTuple):
    """Whether a copy is still true, by the server's clock ``now``, and the positions taken."""

    now: int
    expired: int
    positions: list[int]
    changed: tuple[Version, dict[str, float]] | None = None


class Loaded(NamedTuple):
    """One service type as Redis has it: fields by registration id, breaker and permits by name."""

    now: int
    members: dict[str, int]
    records: dict[str, dict[str, str]]
    breakers: dict[str, dict[str, str]]
    permits: dict[str, dict[str, int]]


class Registered(NamedTuple):
    """How a registration ended: ``registered``, ``joined`` or ``changed``, and what it changed."""

    word: str
    before: str = ""
    before_by: str = ""
    fields: tuple[str, ...] = ()


class Renewed(NamedTuple):
    """What a heartbeat found: the version, how many leases have expired, and what is lost."""

    now: int
    version: Version
    expired: int
    lost: tuple[str, ...]


class BreakerReply(NamedTuple):
    """A breaker script's answer: its verdict, and the breaker's state after it."""

    verdict: Verdict
    now: int
    fields: Mapping[str, str]


class Store:
    """The shared state of one namespace, over one client, which belongs to one event loop."""

    def __init__(
        self, client: Redis, location: str, namespace: str, process: str, settings: RegistrySettings
    ) -> None:
        self.process = process
        self.namespace = namespace
        self._client = client
        self._location = location
        self._scripts = load_scripts()
        self._keys: dict[str, TypeKeys] = {}
        self._patience = settings.patience
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
        """Close the client's connections."""
        await self._client.aclose()

    # Registrations

    async def register(self, registration: Registration) -> Registered:
        """Write a registration and become its member."""
        keys = self.keys(registration.service_type)
        word, *rest = await self._run(
            registration.service_type,
            "provider_register",
            {
                "registrations": keys.registrations,
                "provider": keys.provider(registration.id),
                "members": keys.members,
                "events": keys.events,
                "meta": keys.meta,
            },
            {
                "id": registration.id,
                "name": registration.name,
                "process": self.process,
                "lease_ms": self._lease,
                "retention_ms": self._retention,
                "record": [part for item in registration.fields().items() for part in item],
            },
        )
        if word != "changed":
            return Registered(word)
        return Registered(word, rest[1], rest[2], tuple(rest[3:]))

    async def unregister(self, registration: Registration) -> str:
        """End this process's membership; ``removed``, ``left`` or ``absent``."""
        keys = self.keys(registration.service_type)
        reply = await self._run(
            registration.service_type,
            "provider_unregister",
            {
                "registrations": keys.registrations,
                "provider": keys.provider(registration.id),
                "members": keys.members,
                "events": keys.events,
                "meta": keys.meta,
            },
            {"id": registration.id, "name": registration.name, "process": self.process},
        )
        return cast("str", reply[0])

    async def renew(
        self, service_type: str, ids: Sequence[str], breakers: Sequence[str], *, outage: bool
    ) -> Renewed:
        """Renew this process's leases, and keep what belongs to them."""
        keys = self.keys(service_type)
        reply = await self._run(
            service_type,
            "provider_renew",
            {
                "registrations": keys.registrations,
                "members": keys.members,
                "events": keys.events,
                "cursors": keys.cursors,
                "meta": keys.meta,
                "hashes": [*map(keys.provider, ids), *map(keys.breaker, breakers)],
            },
            {
                "process": self.process,
                "lease_ms": self._lease,
                "retention_ms": self._retention,
                "outage": int(outage),
                "ids": ids,
            },
        )
        return Renewed(int(reply[1]), (reply[2], reply[3]), int(reply[4]), tuple(reply[5:]))

    async def sweep(self, service_type: str, ids: Sequence[str]) -> list[str]:
        """Remove expired members; the ids of registrations that went with the last of theirs."""
        keys = self.keys(service_type)
        known = list(ids)
        while True:
            word, *named = await self._run(
                service_type,
                "members_sweep",
                {
                    "registrations": keys.registrations,
                    "members": keys.members,
                    "events": keys.events,
                    "meta": keys.meta,
                    "providers": [keys.provider(one) for one in known],
                },
                {
                    "process": self.process,
                    "lease_ms": self._lease,
                    "share": self._share,
                    "ids": known,
                },
            )
            if word != "more":
                return named
            known = [*known, *named]

    async def renew_process(
        self, host: str, pid: int, version: str, service_types: Sequence[str]
    ) -> None:
        """Say who this process is and which service types it uses."""
        await self._run(
            "",
            "process_renew",
            {
                "process": process_key(self.namespace, self.process),
                "types": types_key(self.namespace),
            },
            {
                "lease_ms": self._lease,
                "retention_ms": self._retention,
                "host": host,
                "pid": pid,
                "version": version,
                "used": service_types,
            },
        )

    # The snapshot

    async def sync(self, service_type: str, version: Version, steps: Mapping[str, int]) -> Synced:
        """Compare a copy's version with Redis, and take cursor steps along."""
        keys = self.keys(service_type)
        reply = await self._run(
            service_type,
            "snapshot_sync",
            {
                "meta": keys.meta,
                "registrations": keys.registrations,
                "members": keys.members,
                "cursors": keys.cursors,
            },
            {
                "epoch": version[0],
                "revision": version[1],
                "retention_ms": self._retention,
                "steps": [part for step in steps.items() for part in step] if steps else (),
            },
        )
        now, expired = int(reply[1]), int(reply[2])
        if reply[0] == "same":
            return Synced(now, expired, [int(one) for one in reply[3:]])
        listed = 6 + int(reply[5])
        ids = {one: float(order) for one, order in paired(reply[listed:])}
        positions = [int(one) for one in reply[6:listed]]
        return Synced(now, expired, positions, ((reply[3], reply[4]), ids))

    async def load(
        self, service_type: str, version: Version, ids: Sequence[str], names: Sequence[str]
    ) -> Loaded | None:
        """Read a service type whole as it is at ``version``; None if it has moved on."""
        keys = self.keys(service_type)
        hashes = [keys.provider(one) for one in ids]
        for name in names:
            hashes += (keys.breaker(name), keys.permits(name))
        reply = await self._run(
            service_type,
            "snapshot_load",
            {"meta": keys.meta, "members": keys.members, "hashes": hashes},
            {"epoch": version[0], "revision": version[1], "ids": len(ids)},
        )
        if reply[0] == "moved":
            return None
        now, members, *rest = reply[1:]
        found = rest[len(ids) :]
        return Loaded(
            now=int(now),
            members=counters(members),
            records={one: dict(paired(flat)) for one, flat in zip(ids, rest, strict=False)},
            breakers={name: dict(paired(found[2 * i])) for i, name in enumerate(names)},
            permits={name: counters(found[2 * i + 1]) for i, name in enumerate(names)},
        )

    async def take(self, service_type: str, cursor: str, steps: int) -> int:
        """Take the next positions of a round robin; the first of them."""
        reply = await self._run(
            service_type,
            "cursor_take",
            {"cursors": self.keys(service_type).cursors},
            {"cursor": cursor, "steps": steps, "retention_ms": self._retention},
        )
        return int(reply[1])

    # Breakers

    async def configure(
        self, service_type: str, name: str, config: CircuitBreakerConfig, *, explicit: bool
    ) -> BreakerReply:
        """Give a breaker its settings; its state stays."""
        settings = {**config.fields(), "retention_ms": str(self._retention)}
        keys = self.keys(service_type)
        return self._breaker_reply(
            await self._run(
                service_type,
                "breaker_configure",
                {
                    "breaker": keys.breaker(name),
                    "permits": keys.permits(name),
                    "events": keys.events,
                    "meta": keys.meta,
                },
                {
                    "provider": name,
                    "process": self.process,
                    "mode": "explicit" if explicit else "default",
                    "settings": [part for item in settings.items() for part in item],
                },
            )
        )

    async def read_breaker(
        self, service_type: str, name: str
    ) -> tuple[dict[str, str], dict[str, int]]:
        """A breaker's fields and permits; empty if there is none."""
        keys = self.keys(service_type)
        reply = await self._run(
            service_type,
            "breaker_read",
            {"breaker": keys.breaker(name), "permits": keys.permits(name)},
            {},
        )
        return dict(paired(reply[2])), counters(reply[3])

    async def acquire(
        self, service_type: str, name: str, permit: str
    ) -> tuple[Admission, BreakerReply]:
        """Ask for admission."""
        keys = self.keys(service_type)
        reply = await self._run(
            service_type,
            "breaker_acquire",
            {
                "breaker": keys.breaker(name),
                "permits": keys.permits(name),
                "members": keys.members,
                "events": keys.events,
                "meta": keys.meta,
            },
            {
                "provider": name,
                "process": self.process,
                "permit": permit,
                "lease_ms": self._lease,
            },
        )
        verdict = Verdict(reply[0])
        if verdict is Verdict.REFUSED:
            refusal = Refusal(reply[2], int(reply[3]))
            return Admission(verdict, refusal), self._breaker_reply(reply, 4)
        if verdict is Verdict.PERMIT:
            return Admission(verdict, None, permit, int(reply[2])), self._breaker_reply(reply, 3)
        return Admission(verdict), self._breaker_reply(reply)

    async def record(
        self,
        service_type: str,
        name: str,
        outcome: Outcome,
        permit: str = "",
        generation: int | None = None,
    ) -> BreakerReply:
        """Count one outcome. Sent at most once unless it settles a permit."""
        keys = self.keys(service_type)
        return self._breaker_reply(
            await self._run(
                service_type,
                "breaker_record",
                {
                    "breaker": keys.breaker(name),
                    "permits": keys.permits(name),
                    "members": keys.members,
                    "events": keys.events,
                    "meta": keys.meta,
                },
                {
                    "provider": name,
                    "process": self.process,
                    "outcome": outcome,
                    "permit": permit,
                    "generation": "" if generation is None else generation,
                },
                repeatable="|" in permit,
            )
        )

    async def override(  # noqa: PLR0913 # the slots of the script
        self, service_type: str, name: str, override: str, reason: str, by: str, duration: int
    ) -> BreakerReply:
        """Put an operator's word over a breaker, or take it away (``""``)."""
        keys = self.keys(service_type)
        return self._breaker_reply(
            await self._run(
                service_type,
                "breaker_override",
                {
                    "breaker": keys.breaker(name),
                    "permits": keys.permits(name),
                    "events": keys.events,
                    "meta": keys.meta,
                },
                {
                    "provider": name,
                    "actor": by or self.process,
                    "override": override,
                    "reason": reason,
                    "duration_ms": duration,
                },
            )
        )

    async def reset(self, service_type: str, name: str, reason: str, by: str) -> BreakerReply:
        """Close a breaker and forget what it counted."""
        keys = self.keys(service_type)
        return self._breaker_reply(
            await self._run(
                service_type,
                "breaker_reset",
                {
                    "breaker": keys.breaker(name),
                    "permits": keys.permits(name),
                    "events": keys.events,
                    "meta": keys.meta,
                },
                {"provider": name, "actor": by or self.process, "reason": reason},
            )
        )

    async def cool_down(
        self, service_type: str, name: str, duration: int, reason: str
    ) -> BreakerReply:
        """Leave a provider alone for ``duration`` milliseconds."""
        keys = self.keys(service_type)
        return self._breaker_reply(
            await self._run(
                service_type,
                "breaker_cool_down",
                {"breaker": keys.breaker(name), "events": keys.events, "meta": keys.meta},
                {
                    "provider": name,
                    "process": self.process,
                    "duration_ms": duration,
                    "reason": reason,
                },
            )
        )

    async def restore(
        self, service_type: str, name: str, remembered: Mapping[str, str]
    ) -> BreakerReply:
        """Put back what this process still knows of a breaker that Redis has lost."""
        keys = self.keys(service_type)
        return self._breaker_reply(
            await self._run(
                service_type,
                "breaker_restore",
                {"breaker": keys.breaker(name), "events": keys.events, "meta": keys.meta},
                {
                    "provider": name,
                    "process": self.process,
                    "remembered": [part for item in remembered.items() for part in item],
                },
            )
        )

    # What operators look at, and events

    async def service_types(self) -> list[str]:
        """The service types in use, in alphabetical order."""
        return sorted(await self._command("SMEMBERS", types_key(self.namespace)))

    async def process_info(self, process: str) -> dict[str, str]:
        """Host, pid, version and start of a process; empty if it is gone."""
        flat = await self._command("HGETALL", process_key(self.namespace, process))
        return flat if isinstance(flat, dict) else dict(paired(flat))

    async def uptime(self) -> int | None:
        """Seconds since the server started; None where it does not say."""
        try:
            info = await self._client.info("server")
        except ResponseError:
            return None
        except UNREACHABLE as error:
            raise StoreUnavailableError(self._location, str(error)) from None
        return int(info.get("uptime_in_seconds", 0)) if info else None

    async def last_event(self, service_type: str) -> str:
        """The id of the newest event, ``0-0`` if there is none."""
        entries = await self._command("XREVRANGE", self.keys(service_type).events, "+", "-", "COUNT", 1)
        return str(entries[0][0]) if entries else "0-0"

    async def events_after(self, after: Mapping[str, str], block: int) -> list[Event]:
        """Events behind the given id of each service type; waits up to ``block`` milliseconds."""
        streams = {self.keys(one).events: one for one in after}
        entries = await self._guarded(
            "", lambda: self._client.xread(dict(zip(streams, after.values(), strict=True)), block=block)
        )
        return [
            Event.parse(streams[stream], entry_id, fields)
            for stream, found in entries
            for entry_id, fields in found
        ]

    def _breaker_reply(self, reply: Sequence[Any], start: int = 2) -> BreakerReply:
        verdict = Verdict(reply[0])
        if verdict is Verdict.MISSING:
            return BreakerReply(verdict, 0, {})
        return BreakerReply(verdict, int(reply[1]), dict(paired(reply[start:])))

    async def _run(
        self,
        service_type: str,
        name: str,
        keys: Mapping[str, str | Sequence[str]],
        args: Mapping[str, str | int | Sequence[str | int]],
        *,
        repeatable: bool = True,
    ) -> list[Any]:
        script = self._scripts[name]
        numkeys, values = script.arrange(keys, args)
        client = self._client

        async def call() -> list[Any]:
            try:
                return cast(
                    "list[Any]", await client.execute_command("EVALSHA", script.sha, numkeys, *values)
                )
            except NoScriptError:
                return cast(
                    "list[Any]", await client.execute_command("EVAL", script.text, numkeys, *values)
                )

        return await self._guarded(service_type, call, repeatable=repeatable)

    async def _command(self, *parts: str | int) -> Any:  # noqa: ANN401 # Any ends in the callers
        return await self._guarded("", lambda: self._client.execute_command(*parts))

    async def _guarded(self, service_type: str, attempt: Any, *, repeatable: bool = True) -> Any:  # noqa: ANN401
        try:
            return await attempt()
        except UNREACHABLE:
            pass
        except RedisError as error:
            raise self._explained(service_type, error) from None
        try:
            return await persistently(attempt, patience=self._patience, repeatable=repeatable)
        except (RedisError, OSError) as error:
            raise self._explained(service_type, error) from None

    def _explained(self, service_type: str, error: Exception) -> Exception:
        text = str(error)
        if "WRONGTYPE" in text:
            return DamagedStateError(service_type, "WRONGTYPE")
        kind = StoreUnavailableError if isinstance(error, UNREACHABLE) else StoreError
        return kind(self._location, text or type(error).__name__)
