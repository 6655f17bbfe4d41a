"""The handle on one shared breaker: the in-process breaker's methods, for the whole fleet.

Plain methods never wait: they use and change the local state, and the write follows in order. The
forms that begin with ``a`` return when Redis has answered. While Redis is away, outcomes and
cooldowns are counted in this process instead, reads go by the replica, and ``aforce_open``,
``aforce_close``, ``aclear_override`` and ``areset`` raise. The handle decides nothing itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ciris_registry.cache import BreakerRead
from ciris_registry.circuit_breaker import stats_of
from ciris_registry.errors import CircuitBreakerError, StoreError

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker import CircuitBreakerConfig, CircuitState
    from ciris_registry.shared_breaker.admission import BreakerAdmission
    from ciris_registry.shared_breaker.breaker import SharedBreaker
    from ciris_registry.shared_breaker.cooldown import Cooldowns
    from ciris_registry.shared_breaker.override import Overrides
    from ciris_registry.shared_breaker.reporting import Reporting
    from ciris_registry.shared_breaker.writes import BreakerWrites
    from ciris_registry.store import Session, Store
    from ciris_registry.store.connection import Connectivity


class BreakerHandle:
    """The shared breaker of one provider of one service type; see ``CircuitBreaker``.

    ``name`` is the provider's. ``registry.breaker(service_type, name)`` makes handles.
    """

    def __init__(
        self,
        breaker: SharedBreaker,
        *,
        session: Session,
        connectivity: Connectivity,
        writes: BreakerWrites,
        reporting: Reporting,
        admission: BreakerAdmission,
        cooldowns: Cooldowns,
        overrides: Overrides,
    ) -> None:
        self.name = breaker.name
        self.service_type = breaker.service_type
        self._breaker = breaker
        self._session = session
        self._connectivity = connectivity
        self._writes = writes
        self._reporting = reporting
        self._admission = admission
        self._cooldowns = cooldowns
        self._overrides = overrides

    def become(self, other: BreakerHandle) -> None:
        """Act as another handle on this provider's breaker: its service type has moved."""
        self.__dict__.update(other.__dict__)

    # Reading changes no state, here or in Redis

    @property
    def config(self) -> CircuitBreakerConfig:
        """The settings, as far as this process knows them."""
        return self._breaker.config

    def is_available(self) -> bool:
        """Whether a call would be admitted, as far as this process knows.

        Changes no state. A yes is noted in this process: the next outcome that it reports may then
        count as the probe's.
        """
        return self._breaker.ask_availability()

    @property
    def state(self) -> CircuitState:
        """The fleet's state as last seen; an override in force counts.

        OPEN reads HALF_OPEN once an admission would be granted as a probe. A breaker that is open
        in this process only reads CLOSED: see ``get_stats()["open_locally"]``.
        """
        return self._breaker.known.shown_state(self._breaker.replica.now())

    @property
    def failure_count(self) -> int:
        """Failures in a row, as last seen."""
        return self._breaker.known.consecutive_failures

    @property
    def success_count(self) -> int:
        """Successful probes since the breaker became HALF_OPEN, as last seen."""
        return self._breaker.known.probe_successes

    @property
    def last_failure_time(self) -> float | None:
        """When the last counted failure was recorded, in seconds of the epoch, or None."""
        return self._breaker.known.last_failure_at / 1000 or None

    async def ais_available(self) -> bool:
        """Whether a call would be admitted now; while Redis is away, as ``is_available``."""
        await self._refresh()
        return self.is_available()

    def get_stats(self) -> dict[str, Any]:
        """Name, state and counters as last seen; ``last_failure_time`` in seconds of the epoch."""
        stats = stats_of(self.name, self._breaker.known, self._breaker.replica.now())
        stats["total_successes"] += self._breaker.unreported()
        return stats

    async def aget_stats(self) -> dict[str, Any]:
        """Name, state and counters as they are in Redis now, or as last seen while it is away."""
        await self._refresh()
        return self.get_stats()

    # Admission

    def check_and_raise(self) -> None:
        """Raise if no call would be admitted, as far as this process knows. Takes no permit.

        Raises:
            CircuitBreakerError: It would be refused.
        """
        if not self.is_available():
            now = self._breaker.replica.now()
            raise self._refused(*(self._breaker.known.refusal(now) or ("open", 0)))

    async def acheck_and_raise(self) -> None:
        """Ask the fleet's breaker for admission.

        If the call is a probe, this process holds the permit until it next reports an outcome.

        Raises:
            CircuitBreakerError: It is refused; ``retry_after`` is in seconds.
        """
        await self._refresh()
        refusal = await self._admission.hold(self._breaker)
        if refusal is not None:
            raise self._refused(*refusal)

    # Outcomes

    def record_success(self) -> None:
        """Report that a call succeeded."""
        self._reporting.succeeded(self._breaker)

    def record_failure(self) -> None:
        """Report that a call failed."""
        self._reporting.record(self._breaker, "failure")

    async def arecord_success(self) -> CircuitState:
        """Report that a call succeeded; the state after it.

        While Redis is away, it is counted here and merged when Redis is back.
        """
        await self._reporting.arecord(self._breaker, "success")
        return self.state

    async def arecord_failure(self) -> CircuitState:
        """Report that a call failed; the state after it.

        While Redis is away, it is counted here and merged when Redis is back.
        """
        await self._reporting.arecord(self._breaker, "failure")
        return self.state

    # Cooldowns and overrides

    def cool_down(self, seconds: float, reason: str = "") -> None:
        """Refuse calls for ``seconds``; of two deadlines the later one counts."""
        self._cooldowns.begin(self._breaker, seconds, reason)

    async def acool_down(self, seconds: float, reason: str = "") -> None:
        """Refuse calls for ``seconds``, in every process when this returns.

        While Redis is away, only this process refuses them; the cooldown is merged when Redis is
        back.
        """
        await self._cooldowns.abegin(self._breaker, seconds, reason)

    def force_open(self, reason: str = "", duration: float | None = None) -> None:
        """Refuse every call of the fleet, for ``duration`` seconds or until it is cleared."""
        self._overrides.force(self._breaker, "open", reason, duration)

    async def aforce_open(self, reason: str = "", duration: float | None = None) -> None:
        """Refuse every call of the fleet, from when this returns."""
        await self._overrides.aforce(self._breaker, "open", reason, duration)

    def force_close(self, reason: str = "", duration: float | None = None) -> None:
        """Admit every call of the fleet, for ``duration`` seconds or until it is cleared."""
        self._overrides.force(self._breaker, "closed", reason, duration)

    async def aforce_close(self, reason: str = "", duration: float | None = None) -> None:
        """Admit every call of the fleet, from when this returns."""
        await self._overrides.aforce(self._breaker, "closed", reason, duration)

    def clear_override(self) -> None:
        """Clear the override; the breaker's own state is in force again."""
        self._overrides.force(self._breaker, "")

    async def aclear_override(self) -> None:
        """Clear the override, in every process when this returns."""
        await self._overrides.aforce(self._breaker, "")

    def reset(self, reason: str = "") -> None:
        """Close it and forget its counters, cooldown and override; the settings stay."""
        self._overrides.reset(self._breaker, reason)

    async def areset(self, reason: str = "") -> None:
        """Close it and forget its counters, in every process when this returns."""
        await self._overrides.areset(self._breaker, reason)

    def __repr__(self) -> str:
        return f"BreakerHandle({self.service_type!r}, {self.name!r}, {self.state.value})"

    def _refused(self, reason: str, retry_at: int) -> CircuitBreakerError:
        left = max(0, retry_at - self._breaker.replica.now()) / 1000 if retry_at else None
        return CircuitBreakerError(self.name, reason, left)

    async def _refresh(self) -> None:
        """Read the breaker anew, if Redis is there."""
        try:
            store = await self._session.store()
            self._connectivity.require()
            await self._connectivity.while_answering(self._session.send(self._read(store)))
        except StoreError:
            pass  # away, or its keys are damaged

    async def _read(self, store: Store) -> None:
        await self._writes.flush()
        read = await store.breakers.read(self.service_type, self.name)
        self._breaker.replica.apply(BreakerRead(self.name, *read))
