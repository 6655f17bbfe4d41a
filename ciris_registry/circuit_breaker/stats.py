"""The result of ``get_stats()``, of shared and of in-process breakers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ciris_registry.circuit_breaker.state_machine import BreakerState


def stats_of(name: str, breaker: BreakerState, now: int) -> dict[str, Any]:
    """Name, state and counters at the time ``now``; times are seconds of the breaker's clock.

    ``retry_after`` is the number of seconds until a refused call may be admitted, None if calls
    are admitted or the time is unknown. ``open_locally`` says whether the breaker is open in this
    process only. ``override`` is the operator's override in force, or None.
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
