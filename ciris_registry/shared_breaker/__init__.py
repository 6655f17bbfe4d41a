"""The fleet's breaker as this process uses it: admission, outcomes, overrides, cooldowns.

``WHEN_AWAY`` says what each operation does while Redis is suspended or lost. Does not choose
providers, and does not decide what an outcome means.
"""

from ciris_registry.shared_breaker.admission import BreakerAdmission
from ciris_registry.shared_breaker.breaker import SharedBreaker, in_words
from ciris_registry.shared_breaker.breakers import Breakers
from ciris_registry.shared_breaker.cooldown import Cooldowns
from ciris_registry.shared_breaker.handle import BreakerHandle
from ciris_registry.shared_breaker.local_trip import LocalTrips
from ciris_registry.shared_breaker.offline_outcomes import OfflineCounts, OfflineOutcomes
from ciris_registry.shared_breaker.override import Overrides
from ciris_registry.shared_breaker.permits import HeldPermit, HeldPermits
from ciris_registry.shared_breaker.reporting import Reporting
from ciris_registry.shared_breaker.success_batches import SuccessBatch, SuccessBatches
from ciris_registry.shared_breaker.when_redis_is_away import WHEN_AWAY, WhenAway
from ciris_registry.shared_breaker.writes import BreakerWrites

__all__ = [
    "WHEN_AWAY",
    "BreakerAdmission",
    "BreakerHandle",
    "BreakerWrites",
    "Breakers",
    "Cooldowns",
    "HeldPermit",
    "HeldPermits",
    "LocalTrips",
    "OfflineCounts",
    "OfflineOutcomes",
    "Overrides",
    "Reporting",
    "SharedBreaker",
    "SuccessBatch",
    "SuccessBatches",
    "WhenAway",
    "in_words",
]
