"""What a breaker's ``get_stats()`` tells, of a shared one and of one in the process alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.state_machine import BreakerState


def stats_of(name: str, breaker: BreakerState, now: int) -> dict[str, Any]:
    """Name, state and counters at a time of the breaker's clock; times in seconds of that clock.

    ``retry_after`` is in how many seconds a call that is refused now might be admitted, None if
    none is refused or nobody knows; ``open_locally`` whether this process alone is refused;
    ``override`` the operator's word in force, or None.
    """
    stats: dict[str, Any] = {
        "name": name,
        "state": breaker.shown_state(now).value,
        "failure_count": breaker.consecutive_failures,
        "success_count": breaker.probe_successes,
        "last_failure_time": breaker.last_failure_at / 1000 or None,
        "total_successes": breaker.total_successes,
        "total_failures": breaker.total_failures,
        "generation": breaker.generation,
        "open_locally": breaker.is_open_locally(now),
        "retry_after": None,
        "override": None,
    }
    refusal = breaker.refusal(now)
    if refusal is not None and refusal.retry_at:
        stats["retry_after"] = max(0, refusal.retry_at - now) / 1000
    if breaker.override_in_force(now):
        until = breaker.override_until
        stats["override"] = {
            "state": breaker.override,
            "reason": breaker.override_reason,
            "actor": breaker.override_actor,
            "until": until / 1000 if until else None,
        }
    return stats
