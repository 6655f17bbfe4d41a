"""Assembling the parts of one partition: the only module that knows all of them.

Each constructor names what it uses. Callbacks from a lower room to a higher one are set here. So is
the order of the steps of reconciling.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ciris_registry.cache import (
    DesiredState,
    Reconciler,
    RefreshSchedule,
    Replicas,
    SingleFlights,
    Watcher,
    block_of,
)
from ciris_registry.calls import AttemptContext, Executor
from ciris_registry.circuit_breaker.outcomes import Classifier
from ciris_registry.lifecycle import Lifecycle
from ciris_registry.membership import Heartbeat, Readiness, Registrar
from ciris_registry.partitions.partition import Partition
from ciris_registry.selection import (
    Admission,
    ConcurrencyLimit,
    Explainer,
    Pickers,
    Resolver,
    RoundRobins,
)
from ciris_registry.settings import REPLY_TIMEOUT
from ciris_registry.shared_breaker import (
    BreakerAdmission,
    BreakerHandle,
    Breakers,
    BreakerWrites,
    Cooldowns,
    HeldPermits,
    LocalTrips,
    OfflineOutcomes,
    Overrides,
    Reporting,
    SuccessBatches,
)
from ciris_registry.store import Session, WriteQueue
from ciris_registry.store.connection import Connectivity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ciris_registry.cache import EvictionWarning
    from ciris_registry.circuit_breaker.outcomes import Classify
    from ciris_registry.membership import Bindings, Namer
    from ciris_registry.settings import RegistrySettings
    from ciris_registry.shared_breaker import OfflineCounts, SuccessBatch
    from ciris_registry.store import Partitioning, Store
    from ciris_registry.store.connection import Clients


def assemble(  # noqa: C901, PLR0915 # one list of all parts, from the bottom up
    index: int,
    *,
    clients: Clients,
    namespace: str,
    partitioning: Partitioning,
    process: str,
    settings: RegistrySettings,
    namer: Namer,
    bindings: Bindings,
    eviction: EvictionWarning,
    unflushed: set[WriteQueue],
    classify: Classify | None,
    exact: bool,
    always_use_last_provider: bool,
    agree: Callable[[int, Store], Awaitable[None]],
    leave_dead: Callable[[], None],
) -> Partition:
    """Make all parts of a partition, from the bottom up; none of them runs yet.

    The arguments must have been checked. With ``exact``, resolves ask Redis each time and outcomes
    are reported one by one. ``agree`` makes sure that the number of partitions is known,
    ``leave_dead`` unregisters providers whose weakly held instances have died. ``unflushed`` are
    the write queues of all partitions that have a write to flush.
    """
    url = clients.url
    shown = url.redacted if not index else f"{url.redacted} (partition {index})"
    connectivity = Connectivity(shown, settings)
    session = Session(clients, namespace, index, partitioning, process, settings, connectivity)
    write_queue = WriteQueue(session, connectivity, unflushed)

    desired, replicas = DesiredState(settings), Replicas(settings, connectivity.round_trip)
    single_flights = SingleFlights(replicas, session, connectivity, desired, settings)
    block = block_of(settings.max_staleness)
    schedule = RefreshSchedule(connectivity, single_flights, block)

    permits, offline = HeldPermits(process), OfflineOutcomes()
    interval = settings.success_report_interval
    batches = SuccessBatches(session, connectivity, interval, batching=not exact)
    local_trips = LocalTrips(write_queue, desired)
    lease = round(settings.lease * 1000)
    writes = BreakerWrites(connectivity, write_queue, batches, desired, local_trips, lease)
    reporting = Reporting(session, connectivity, write_queue, permits, batches, writes)
    breaker_admission = BreakerAdmission(session, connectivity, permits, writes)
    cooldowns = Cooldowns(session, connectivity, write_queue, writes)
    new_handle = partial(
        BreakerHandle,
        session=session,
        connectivity=connectivity,
        writes=writes,
        reporting=reporting,
        admission=breaker_admission,
        cooldowns=cooldowns,
        overrides=Overrides(session, connectivity, permits, writes),
    )
    breakers = Breakers(replicas, desired, offline, batches, new_handle)

    registrar = Registrar(namer, session, write_queue, desired, replicas, bindings)
    lifecycle = Lifecycle(
        session,
        connectivity,
        write_queue,
        batches,
        desired,
        replicas,
        single_flights,
        leave_dead,
    )
    readiness = Readiness(
        session, connectivity, write_queue, bindings, replicas, single_flights, lifecycle.flush
    )
    concurrency_limit = ConcurrencyLimit(session, connectivity, write_queue, settings)
    heartbeat = Heartbeat(
        settings,
        connectivity,
        desired,
        replicas,
        single_flights,
        leave_dead=leave_dead,
        renew_slots=concurrency_limit.renew,
    )

    round_robins = RoundRobins(session, connectivity)
    pickers = Pickers(
        breakers, bindings, round_robins, always_use_last_provider=always_use_last_provider
    )
    admission = Admission(
        session, bindings, breakers, permits, breaker_admission, reporting, concurrency_limit
    )
    resolver = Resolver(
        session,
        write_queue,
        replicas,
        single_flights,
        breakers,
        permits,
        pickers,
        admission,
        round_robins,
        unflushed,
        exact=exact,
    )
    explainer = Explainer(
        session,
        connectivity,
        write_queue,
        replicas,
        single_flights,
        breakers,
        pickers,
        round_robins,
        exact=exact,
    )
    context = AttemptContext(
        Classifier(settings.cooldown_durations, classify),
        reporting,
        breaker_admission,
        cooldowns,
        concurrency_limit,
    )

    admission.on_failed_factory = context.factory_failed

    # Following Redis

    async def replay_offline(store: Store) -> None:
        async def merge(key: tuple[str, str], counts: OfflineCounts) -> None:
            await writes.merge_offline(breakers.of(*key), store, counts)

        await offline.replay(merge)

    async def deliver(_store: Store) -> None:
        await write_queue.deliver()

    async def refresh_all(store: Store) -> None:
        for kind in list(replicas.by_type):
            await schedule.reload(store, kind)

    async def agreed(store: Store) -> None:
        await agree(index, store)

    async def first_contact(store: Store) -> None:
        await agreed(store)
        if offline:  # of an event loop that ended while Redis was away
            await store.ping(REPLY_TIMEOUT)
            await replay_offline(store)
        await heartbeat.start(store, unwritten=write_queue.pending)
        session.spawn(eviction.check(store))

    reconciler = Reconciler(
        session,
        connectivity,
        fails_over=url.fails_over,
        first_contact=first_contact,
        steps=(
            agreed,
            replay_offline,
            deliver,
            heartbeat.after_outage,
            refresh_all,
            eviction.check,
        ),
        last=replay_offline,
    )

    def resume() -> None:
        write_queue.resume()
        batches.report_soon()

    watcher = Watcher(
        session,
        connectivity,
        replicas,
        schedule,
        reconciler,
        settings.max_staleness,
        follows=not exact,
        on_connected=resume,
        flush_now=batches.flush_now,
        peers=lambda: desired.peers,
    )

    async def start(store: Store) -> None:
        await watcher.begin(store)
        session.supervise("heartbeat", lambda: heartbeat.run(store))

    # Callbacks from lower rooms to higher ones

    def to_offline(key: tuple[str, str], batch: SuccessBatch) -> None:
        reporting.note_offline(breakers.of(*key), batch)

    async def restore_missing(store: Store, key: tuple[str, str]) -> None:
        await writes.restore(breakers.of(*key), store)

    def connectivity_changed() -> None:
        replicas.distrust()
        replicas.agree(agreed=connectivity.connected)
        if not connectivity.connected:
            # In the order of the outcomes: a failure must not wait behind batched successes.
            write_queue.rescue()
        batches.connectivity_changed()

    write_queue.rejected.check = heartbeat.beat
    session.on_start, session.on_end = start, lifecycle.end_of_loop
    connectivity.on_change(connectivity_changed)
    batches.on_away, batches.on_missing = to_offline, restore_missing
    replicas.on_local_end = lambda kind, name: local_trips.report(breakers.of(kind, name))
    registrar.on_change = readiness.wake

    return Partition(
        index=index,
        session=session,
        connectivity=connectivity,
        write_queue=write_queue,
        batches=batches,
        permits=permits,
        replicas=replicas,
        single_flights=single_flights,
        breakers=breakers,
        concurrency_limit=concurrency_limit,
        round_robins=round_robins,
        registrar=registrar,
        lifecycle=lifecycle,
        readiness=readiness,
        pickers=pickers,
        resolver=resolver,
        explainer=explainer,
        executor=Executor(resolver, context),
    )
