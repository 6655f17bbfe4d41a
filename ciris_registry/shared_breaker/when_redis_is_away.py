"""What each operation of a shared breaker does while Redis does not answer.

``WHEN_AWAY`` is the one table of it; a test is made from the table. The modules of the operations
have the code.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class WhenAway(StrEnum):
    """What an operation does while Redis does not answer. No operation waits for Redis to return.

    ``RAISES`` is the exception: it waits for ``settings.write_timeout``.
    """

    REPLICA = "goes by the replica"
    REFUSED = "is refused: another process may hold the permit"
    LOCAL = "goes by this process's own breaker, with permits of its own"
    OFFLINE = "takes effect here, is counted offline and merged when Redis is back"
    QUEUED = "takes effect here, and is written when Redis is back"
    RAISES = "raises StoreUnavailableError after settings.write_timeout"


class Away(NamedTuple):
    """One row of the table.

    Redis is ``suspended`` from the first call that waited too long until it was asked again, and
    ``lost`` when that failed too. It is ``suspended`` again from its first answer until all is
    reconciled.
    """

    suspended: WhenAway
    lost: WhenAway


WHEN_AWAY: Final[Mapping[str, Away]] = {
    "read the state or the stats": Away(WhenAway.REPLICA, WhenAway.REPLICA),
    "read them anew (ais_available, aget_stats)": Away(WhenAway.REPLICA, WhenAway.REPLICA),
    "admit a call of a closed breaker": Away(WhenAway.REPLICA, WhenAway.REPLICA),
    "admit a probe": Away(WhenAway.REFUSED, WhenAway.LOCAL),
    "admit a trial of a local trip": Away(WhenAway.LOCAL, WhenAway.LOCAL),
    "release a permit": Away(WhenAway.QUEUED, WhenAway.QUEUED),
    "record an outcome": Away(WhenAway.OFFLINE, WhenAway.OFFLINE),
    "record an outcome (arecord_…)": Away(WhenAway.OFFLINE, WhenAway.OFFLINE),
    "report the outcome of an attempt": Away(WhenAway.OFFLINE, WhenAway.OFFLINE),
    "cool down": Away(WhenAway.OFFLINE, WhenAway.OFFLINE),
    "cool down (acool_down)": Away(WhenAway.OFFLINE, WhenAway.OFFLINE),
    "force a state, clear it, reset": Away(WhenAway.QUEUED, WhenAway.QUEUED),
    "force a state, clear it, reset (aforce_…, areset)": Away(WhenAway.RAISES, WhenAway.RAISES),
}
