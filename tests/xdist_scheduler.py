"""Which test process runs what: files that share something costly run in the same one.

The groups of pytest-xdist 3.8 have no effect with pytest 9.2, which makes the ids of tests in
another way than the plugin expects.
"""

from __future__ import annotations

from typing import Final

from xdist.scheduler import LoadScopeScheduling

_TWENTY: Final = "twenty processes, which are started once"
_CLIENTS: Final = "clients of services, whose imports take seconds"
_BENCH: Final = "one run of the bench"

TOGETHER: Final = {
    "tests/fleet/test_a_cooldown_is_the_fleets.py": _TWENTY,
    "tests/fleet/test_a_dead_upstream_is_left_alone.py": _TWENTY,
    "tests/fleet/test_cached_mode_costs_redis_little.py": _TWENTY,
    "tests/fleet/test_callers_do_not_notice_a_dead_provider.py": _TWENTY,
    "tests/fleet/test_one_probe_in_the_fleet.py": _TWENTY,
    "tests/fleet/test_round_robin_is_the_fleets.py": _TWENTY,
    "tests/fleet/test_weights_are_the_fleets.py": _TWENTY,
    "tests/test_recipes.py": _CLIENTS,
    "tests/unit/test_bench.py": _BENCH,
    "tests/unit/circuit_breaker/outcomes/test_errors_of_real_clients.py": _CLIENTS,
}


class Scheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no type information
    """Gives each test to the next test process that is free, and files of a group to one."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER.get(nodeid.partition("::")[0], nodeid)
