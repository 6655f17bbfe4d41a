"""The keys of one service type in Redis, as a test reads them from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ciris_registry.store.keys import TypeKeys

if TYPE_CHECKING:
    import redis


class SharedState:
    """Looks at the keys of the service type ``llm`` in the namespace ``default``."""

    def __init__(self, client: redis.Redis) -> None:
        self.client: Any = client
        self.keys = TypeKeys("default", "llm")

    def now(self) -> int:
        """The server's clock, in milliseconds."""
        seconds, micros = cast("tuple[int, int]", self.client.time())
        return seconds * 1000 + micros // 1000

    def record(self, registration_id: str = "shared") -> dict[str, str]:
        """The hash of one registration."""
        return cast("dict[str, str]", self.client.hgetall(self.keys.registration(registration_id)))

    def breaker(self, name: str = "shared") -> dict[str, str]:
        """The hash of one breaker."""
        return cast("dict[str, str]", self.client.hgetall(self.keys.breaker(name)))

    def state(self, name: str = "shared") -> str:
        """The state of one breaker."""
        return self.breaker(name).get("state", "")

    def permits(self, name: str = "shared") -> dict[str, int]:
        """Permits and their deadlines."""
        return self._scores(self.keys.permits(name))

    def local_trips(self, name: str = "shared") -> dict[str, int]:
        """The processes with a local trip of the breaker, and the end of each."""
        return self._scores(self.keys.local_trips(name))

    def callers(self, name: str = "shared") -> dict[str, int]:
        """Processes that called and that failed, and when each did last."""
        return self._scores(self.keys.callers(name))

    def registrations(self) -> list[str]:
        """The ids of all registrations, in their order."""
        return list(self._scores(self.keys.registrations))

    def members(self, registration_id: str) -> dict[str, int]:
        """The holders and the deadlines of their leases; of ``""``, all processes."""
        leases = self._scores(self.keys.leases)
        if not registration_id:
            return leases
        holders = self.client.smembers(self.keys.holders(registration_id))
        return {process: leases.get(process, 0) for process in holders}

    def events(self, *kinds: str) -> list[dict[str, str]]:
        """The events of these kinds, oldest first; ``at`` is the server's time of each."""
        entries = self.client.xrange(self.keys.events) + self.client.xrange(self.keys.processes)
        found = [{**fields, "at": entry_id.partition("-")[0]} for entry_id, fields in entries]
        return [event for event in found if not kinds or event["kind"] in kinds]

    def _scores(self, key: str) -> dict[str, int]:
        return {
            member: int(score) for member, score in self.client.zrange(key, 0, -1, withscores=True)
        }
