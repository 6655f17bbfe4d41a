"""The handle on one shared breaker: what the in-process breaker can do, for the whole fleet.

Plain methods never wait: they act on what this process knows, and the write follows in order.
Those that begin with ``a`` return when Redis has it, with the state after it.

Owns the methods that programs call. It refuses to decide anything itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ciris_registry.circuit_breaker import stats_of
from ciris_registry.errors import CircuitBreakerError, StoreUnavailableError

if TYPE_CHECKING:
    from ciris_registry.breaker_parts import BreakerParts
    from ciris_registry.circuit_breaker import CircuitBreakerConfig, CircuitState
    from ciris_registry.parts import Parts
    from ciris_registry.shared_breaker.breaker import SharedBreaker
    from ciris_registry.store import Store


class BreakerHandle:
    """The shared breaker of one provider of one service type; see ``CircuitBreaker``.

    ``name`` is the provider's.
    """

    def __init__(self, shared: SharedBreaker, parts: Parts, breaker_parts: BreakerParts) -> None:
        self.name = shared.name
        self.service_type = shared.service_type
        self._shared = shared
        self._parts = parts
        self._writes = breaker_parts.writes
        self._outcomes = breaker_parts.outcomes
        self._admissions = breaker_parts.admissions
        self._cooldowns = breaker_parts.cooldowns
        self._overrides = breaker_parts.overrides

    # Reading: changes nothing, here or in Redis

    @property
    def config(self) -> CircuitBreakerConfig:
        """The settings, as far as they are known here."""
        return self._shared.config

    def is_available(self) -> bool:
        """Whether a call would be admitted, as far as is known here."""
        return self._shared.is_available()

    @property
    def state(self) -> CircuitState:
        """The fleet's state as last seen; an override in force counts.

        Where it is open in this process only, that is CLOSED: see ``get_stats()["open_locally"]``.
        """
        return self._shared.known().shown_state(self._shared.replica.now())

    async def ais_available(self) -> bool:
        """Whether a call would be admitted now."""
        await self._look()
        return self.is_available()

    def get_stats(self) -> dict[str, Any]:
        """Name, state and counters as last seen; ``last_failure_time`` in seconds of the epoch."""
        stats = stats_of(self.name, self._shared.known(), self._shared.replica.now())
        stats["total_successes"] += self._outcomes.unreported(self._shared)
        return stats

    async def aget_stats(self) -> dict[str, Any]:
        """Name, state and counters as they are in Redis now."""
        await self._look()
        return self.get_stats()

    # Admission

    def check_and_raise(self) -> None:
        """Raise if no call would be admitted, as far as is known here. Takes no permit.

        Raises:
            CircuitBreakerError: It would be refused.
        """
        if not self.is_available():
            now = self._shared.replica.now()
            raise self._refused(*(self._shared.known().refusal(now) or ("open", 0)))

    async def acheck_and_raise(self) -> None:
        """Ask the fleet's breaker for admission.

        Where that is a probe, the permit is this process's until its next outcome for the provider.

        Raises:
            CircuitBreakerError: It is refused; ``retry_after`` is in seconds.
        """
        await self._look()
        refusal = await self._admissions.hold(self._shared)
        if refusal is not None:
            raise self._refused(*refusal)

    # Outcomes

    def record_success(self) -> None:
        """Report that a call succeeded."""
        self._outcomes.succeeded(self._shared)

    def record_failure(self) -> None:
        """Report that a call failed."""
        self._outcomes.record(self._shared, "failure")

    async def arecord_success(self) -> CircuitState:
        """Report that a call succeeded; the state after it."""
        await self._outcomes.arecord(self._shared, "success")
        return self.state

    async def arecord_failure(self) -> CircuitState:
        """Report that a call failed; the state after it."""
        await self._outcomes.arecord(self._shared, "failure")
        return self.state

    # The provider's and the operator's word

    def cool_down(self, seconds: float, reason: str = "") -> None:
        """Leave the provider alone for ``seconds``; of two deadlines the later one counts."""
        self._cooldowns.begin(self._shared, seconds, reason)

    async def acool_down(self, seconds: float, reason: str = "") -> None:
        """Leave the provider alone for ``seconds``, everywhere when this returns.

        If Redis is away, it is this process alone, and the fleet is told when Redis is back.
        """
        await self._cooldowns.abegin(self._shared, seconds, reason)

    def force_open(self, reason: str = "", duration: float | None = None) -> None:
        """Refuse every call of the fleet, for ``duration`` seconds or until it is cleared."""
        self._overrides.force(self._shared, "open", reason, duration)

    async def aforce_open(self, reason: str = "", duration: float | None = None) -> None:
        """Refuse every call of the fleet, from when this returns."""
        await self._overrides.aforce(self._shared, "open", reason, duration)

    def force_close(self, reason: str = "", duration: float | None = None) -> None:
        """Admit every call of the fleet, for ``duration`` seconds or until it is cleared."""
        self._overrides.force(self._shared, "closed", reason, duration)

    async def aforce_close(self, reason: str = "", duration: float | None = None) -> None:
        """Admit every call of the fleet, from when this returns."""
        await self._overrides.aforce(self._shared, "closed", reason, duration)

    def clear_override(self) -> None:
        """Take a forced state away; what the breaker had decided itself stands again."""
        self._overrides.force(self._shared, "")

    async def aclear_override(self) -> None:
        """Take a forced state away, everywhere when this returns."""
        await self._overrides.aforce(self._shared, "")

    def reset(self, reason: str = "") -> None:
        """Close it and forget what it counted, its cooldown and its override; settings stay."""
        self._overrides.reset(self._shared, reason)

    async def areset(self, reason: str = "") -> None:
        """Close it everywhere when this returns."""
        await self._overrides.areset(self._shared, reason)

    def __repr__(self) -> str:
        return f"BreakerHandle({self.service_type!r}, {self.name!r}, {self.state.value})"

    def _refused(self, reason: str, retry_at: int) -> CircuitBreakerError:
        left = max(0, retry_at - self._shared.replica.now()) / 1000 if retry_at else None
        return CircuitBreakerError(self.name, reason, left)

    async def _look(self) -> None:
        """Read the breaker anew, if Redis is there."""
        connectivity = self._parts.connectivity
        try:
            store = await self._parts.session.store()
            connectivity.check()
            await connectivity.attentively(self._parts.write_queue.send(self._read(store)))
        except StoreUnavailableError:
            pass
        self._shared.known()

    async def _read(self, store: Store) -> None:
        await self._writes.flush()
        read = await store.breakers.read(self.service_type, self.name)
        self._shared.replica.reread(self.name, *read)
