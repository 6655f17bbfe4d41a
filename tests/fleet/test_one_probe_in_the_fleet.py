"""When a breaker's recovery timeout has passed, one process of the whole fleet probes.

Times are the server's: a permit's deadline tells when it was granted, and each asker notes what
time it was before it asked and after it was refused. So no slow machine can make these tests fail.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.fleet.work import breakers, probing
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet.agent import Agent
    from tests.fleet.pool import Team
    from tests.fleet.shared_state import SharedState

# The handle asks Redis in either mode.
RESOLVING = [("cached", "by_resolving"), ("exact", "by_resolving")]
HANDLE = [("cached", "by_the_handle")]


def ways(*pairs: tuple[str, str]) -> pytest.MarkDecorator:
    """The modes of a fleet, and how it asks."""
    return pytest.mark.parametrize(("mode", "askers"), pairs, indirect=["askers"])


TIMEOUT_MS = 1_500
LEASE = 2.0
UNAWARE_MS = 250
"""What a cached process on a busy machine may be behind the server's clock, and its events."""


class Answer(NamedTuple):
    """The replies to one process: whether it got the permit, and when it was refused."""

    granted: bool
    refused: list[list[int]]


class Askers:
    """A fleet that shares one provider, and asks in one of the two ways."""

    def __init__(
        self, fleet: Callable[..., Team], shared: SharedState, url: str, way: str, mode: str
    ) -> None:
        self._fleet = fleet
        self._unaware = UNAWARE_MS if mode == "cached" else 0
        self._shared = shared
        self._url, self._way = url, way

    def team(
        self,
        size: int,
        recovery_timeout: float = 0.05,
        success_threshold: int = 1,
        timeout: float = TIMEOUT_MS / 1000,
        probes: int = 1,
        **settings: float,
    ) -> Team:
        team = self._fleet(size, **settings)
        team.all(
            probing.prepare,
            self._url,
            self._way,
            recovery_timeout=recovery_timeout,
            success_threshold=success_threshold,
            timeout_duration=timeout,
            half_open_max_calls=probes,
        )
        return team

    def hold(self, holder: Agent) -> str:
        """Open the breaker and let this process get the permit of the probe."""
        holder.run(breakers.arecord_failure)
        wait_until(lambda: holder.run(probing.ask))
        [permit] = self._shared.permits()
        return permit

    def ask_until(self, end: int, askers: list[Agent]) -> list[Answer]:
        """All processes ask over and over until the server's clock shows ``end``."""
        for asker in askers:
            asker.begin(probing.ask_until, end)
        return [Answer(**asker.end()) for asker in askers]

    def granted_at(self, timeout_ms: int = TIMEOUT_MS) -> int:
        """When the only permit was granted, by the server's clock."""
        [deadline] = self._shared.permits().values()
        return deadline - timeout_ms

    def granted_once_and_not_late(
        self, answers: list[Answer], due: int, timeout_ms: int = TIMEOUT_MS
    ) -> bool:
        """One permit, not before ``due``; later refusals have no other reason."""
        granted_at = self.granted_at(timeout_ms)
        late = due + self._unaware
        asked_late = [after for a in answers for before, after in a.refused if before >= late]
        return (
            sum(answer.granted for answer in answers) == 1
            and granted_at >= due
            and all(after >= granted_at for after in asked_late)
        )


@pytest.fixture
def askers(
    request: pytest.FixtureRequest,
    fleet: Callable[..., Team],
    shared: SharedState,
    real_url: str,
    mode: str,
) -> Askers:
    return Askers(fleet, shared, real_url, request.param, mode)


@ways(*RESOLVING)
def test_twenty_processes_that_ask_at_once_get_one_permit_in_all(
    askers: Askers, shared: SharedState
) -> None:
    twenty = askers.team(20, recovery_timeout=1.0, timeout=60.0)
    twenty[0].run(breakers.arecord_failure)
    retry_at = int(shared.breaker()["retry_at"])

    answers = askers.ask_until(retry_at + 500, twenty.agents)

    assert askers.granted_once_and_not_late(answers, retry_at, 60_000)
    assert len(shared.permits()) == 1
    assert all(answer.refused for answer in answers), "every process has asked"
    assert int(shared.breaker()["retry_at"]) == retry_at, "asking moved the end of the open time"


@ways(*RESOLVING)
def test_a_killed_holders_permit_is_free_when_its_lease_ends(
    askers: Askers, shared: SharedState
) -> None:
    twenty = askers.team(20, timeout=60.0, lease=LEASE)
    permit = askers.hold(twenty[0])

    twenty[0].kill()
    lease_end = shared.members("")[twenty[0].process_id]
    answers = askers.ask_until(lease_end + 500, twenty.agents[1:])

    assert askers.granted_once_and_not_late(answers, lease_end, 60_000)
    assert permit not in shared.permits()
    refused_before = sum(before < lease_end for a in answers for before, _ in a.refused)
    assert refused_before >= 19, "they asked while the dead process had the permit"


@ways(*RESOLVING)
def test_a_holder_that_hangs_keeps_its_permit_until_the_deadline_and_its_late_outcome_is_void(
    askers: Askers, shared: SharedState
) -> None:
    twenty = askers.team(20)
    holder = twenty[0]
    permit = askers.hold(holder)
    deadline = shared.permits()[permit]

    holder.signal(signal.SIGSTOP)
    answers = askers.ask_until(deadline + 500, twenty.agents[1:])
    assert askers.granted_once_and_not_late(answers, deadline)

    before, permits = shared.breaker(), shared.permits()
    holder.signal(signal.SIGCONT)
    holder.run(breakers.arecord_success)
    holder.run(breakers.arecord_failure)
    after = shared.breaker()

    assert after.pop("total_successes") == "1"
    assert after.pop("total_failures") == "2"
    assert after.items() <= before.items()
    assert shared.permits() == permits


@ways(*RESOLVING, *HANDLE)
def test_the_outcome_of_a_process_that_has_lost_its_lease_is_void(
    askers: Askers, shared: SharedState
) -> None:
    four = askers.team(4, timeout=60.0, lease=LEASE / 2, success_threshold=2)
    holder, *others = four
    askers.hold(holder)

    holder.signal(signal.SIGSTOP)
    lease_end = shared.members("")[holder.process_id]
    answers = askers.ask_until(lease_end + 300, others)
    assert askers.granted_once_and_not_late(answers, lease_end, 60_000)
    permits = shared.permits()
    holder.signal(signal.SIGCONT)
    holder.run(breakers.arecord_success)

    assert shared.breaker()["probe_successes"] == "0"
    assert shared.permits() == permits
    [successor] = [one for one, answer in zip(others, answers, strict=True) if answer.granted]
    successor.run(breakers.arecord_success)
    assert shared.breaker()["probe_successes"] == "1"


@ways(*RESOLVING, *HANDLE)
def test_the_probe_of_one_closes_the_breaker_for_all(askers: Askers, shared: SharedState) -> None:
    four = askers.team(4)
    askers.hold(four[2])

    four[2].run(breakers.arecord_success)

    assert shared.state() == "closed"
    wait_until(lambda: four.all(probing.ask) == [True] * 4)
    assert shared.permits() == {}


@ways(("exact", "by_resolving"), ("exact", "by_the_handle"))
def test_the_failed_probe_of_one_opens_it_again_for_all(
    askers: Askers, shared: SharedState
) -> None:
    four = askers.team(4, recovery_timeout=30.0)
    four[0].run(breakers.arecord_failure)
    shared.client.hset(shared.keys.breaker("shared"), "retry_at", shared.now())
    assert four[1].run(probing.ask)

    four[1].run(breakers.arecord_failure)

    assert shared.state() == "open"
    assert four.all(probing.ask) == [False] * 4
    assert int(shared.breaker()["retry_at"]) > shared.now() + 10_000


@ways(*RESOLVING, *HANDLE)
def test_as_many_probes_at_once_as_the_settings_allow(askers: Askers, shared: SharedState) -> None:
    four = askers.team(4, probes=3, timeout=60.0)
    four[0].run(breakers.arecord_failure)
    retry_at = int(shared.breaker()["retry_at"])

    answers = askers.ask_until(retry_at + 200, four.agents)

    assert sum(answer.granted for answer in answers) == 3
    assert len(shared.permits()) == 3


@ways(*RESOLVING, *HANDLE)
def test_ten_probes_in_a_row_are_never_two_at_a_time(askers: Askers, shared: SharedState) -> None:
    four = askers.team(4, success_threshold=10)
    four[0].run(breakers.arecord_failure)
    shared.client.set("probing", 0, ex=60)

    probes = four.all(probing.probe_until_closed)

    assert [probe for one in probes for probe in one] == [1] * 10
    assert shared.state() == "closed"
