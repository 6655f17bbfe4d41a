"""The traffic of a soak: calls, failures, operator commands, registrations that come and go.

Two registries of one process stay for the whole soak, as two processes of a fleet would; visiting
registries join and leave. Nothing is random: a round's work depends on its number alone.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, Self

from ciris_registry.bench.providers import HANDLER
from ciris_registry.circuit_breaker import CircuitBreakerConfig
from ciris_registry.registration import Priority, SelectionStrategy
from ciris_registry.registry import ServiceRegistry
from ciris_registry.settings import RegistrySettings

if TYPE_CHECKING:
    from ciris_registry.bench.server import Server

LEASE: Final = 1.5
RETENTION: Final = 1.0
"""Seconds until Redis removes what has no members left; by default an hour."""

SETTINGS: Final = RegistrySettings(lease=LEASE, retention=RETENTION, store_timeout=5.0)
"""As in the bench, a busy machine does not make the registry treat Redis as lost."""

PER_ROUND: Final = 1000
"""Resolves and outcomes of one round, about."""

_BREAKER: Final = CircuitBreakerConfig(
    failure_threshold=5,
    recovery_timeout=0.05,
    success_threshold=2,
    timeout_duration=1.0,
    window=1.0,
)
_SHORT: Final = 0.05
"""Seconds of a cooldown and of an operator's override."""

_IN_ORDER: Final = "llm"
_IN_TURN: Final = "search"
_CHECKED: Final = "memory"
"""The service types; instances of the last one have health checks."""

_WHEN: Final = {
    "break": (10, 1),
    "cool down": (25, 3),
    "override": (100, 4),
    "visit": (20, 7),
    "read": (50, 8),
    "flush": (10, 9),
}
"""In which rounds something is done: the interval, and the first round."""

_PAIRS: Final = {"plain": 470, "checked": 20, "exact": 10}
"""Resolves of one round, each with an outcome."""

_YIELD_EVERY: Final = 100
"""Pairs after which other tasks may run, as a cached resolve never yields to the event loop."""

_FAILS_EVERY: Final = 100


class Client:
    """A provider without a health check."""

    def __init__(self, name: str) -> None:
        self.name = name


class Checked(Client):
    """A provider with a health check."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._checks = itertools.count(1)

    async def is_healthy(self) -> bool:
        """False for one check in so many."""
        return bool(next(self._checks) % _FAILS_EVERY)


class Traffic:
    """Makes the traffic; ``done`` counts it."""

    def __init__(self, server: Server) -> None:
        self.done: Counter[str] = Counter()
        self._server = server
        self._stack = AsyncExitStack()
        self._registries: list[ServiceRegistry] = []

    @property
    def calls(self) -> int:
        """Resolves and outcomes up to now."""
        return self.done["resolves"] + self.done["outcomes"]

    async def __aenter__(self) -> Self:
        for _ in range(2):
            registry = await self._stack.enter_async_context(self._new())
            self._register_all(registry)
            await registry.flush()
            for kind in (_IN_ORDER, _IN_TURN, _CHECKED):  # so that every key exists
                await registry.get_service(HANDLER, kind)
            self._registries.append(registry)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def flush(self) -> None:
        """Every write of the permanent registries is in Redis when this returns."""
        for registry in self._registries:
            await registry.flush()

    async def transitions(self) -> int:
        """How often the breakers of permanent providers have changed state."""
        found = 0
        for kind, name in _permanent():
            stats = await self._registries[0].breaker(kind, name).aget_stats()
            found += int(stats["generation"])
        return found

    async def round(self, number: int) -> None:
        """About ``PER_ROUND`` resolves and outcomes, and what else is due in this round."""
        registry = self._registries[number % 2]
        kind = (_IN_ORDER, _IN_TURN)[number // 2 % 2]
        await self._come_and_go(registry, kind, number)
        if _due("break", number):
            await self._break(registry, kind)
        if _due("cool down", number):
            registry.breaker(kind, _names(kind)[0]).cool_down(_SHORT, "HTTP 429")
        if _due("override", number):
            await self._override(registry, kind)
        await self._call(registry, kind, _PAIRS["plain"])
        await self._call(registry, _CHECKED, _PAIRS["checked"])
        await self._call(registry, kind, _PAIRS["exact"], exact=True)
        if _due("visit", number):
            await self._visit()
        if _due("read", number):
            await self._read(registry, kind)
        if _due("flush", number):
            await self.flush()

    def _new(self) -> ServiceRegistry:
        return ServiceRegistry(
            url=self._server.url, namespace=self._server.namespace, settings=SETTINGS
        )

    def _register_all(self, registry: ServiceRegistry) -> None:
        for kind, name in _permanent():
            self._register(registry, kind, name)

    def _register(self, registry: ServiceRegistry, kind: str, name: str | None) -> str:
        self.done["registrations"] += 1
        make = Checked if kind == _CHECKED else Client
        provider = make(name or "")
        provider.name = registry.register(
            HANDLER,
            kind,
            provider,
            Priority.NORMAL,
            ["chat"],
            _BREAKER,
            strategy=SelectionStrategy.ROUND_ROBIN
            if kind == _IN_TURN
            else SelectionStrategy.FALLBACK,
            name=name,
        )
        return provider.name

    async def _call(
        self, registry: ServiceRegistry, kind: str, pairs: int, *, exact: bool = False
    ) -> None:
        done = self.done
        for number in range(1, pairs + 1):
            client: Client | None = (
                await registry.get_service(HANDLER, kind, consistency="exact")
                if exact
                else await registry.get_service(HANDLER, kind)
            )
            done["resolves"] += 1
            if client is None:
                done["unavailable"] += 1
                await asyncio.sleep(0.001)
                continue
            breaker = registry.breaker(kind, client.name)
            done["outcomes"] += 1
            if number % _FAILS_EVERY:
                breaker.record_success()
            else:
                done["failures"] += 1
                breaker.record_failure()
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)

    async def _break(self, registry: ServiceRegistry, kind: str) -> None:
        """As many failures in a row as open the breaker of the resolved provider."""
        client: Client | None = await registry.get_service(HANDLER, kind)
        self.done["resolves"] += 1
        if client is None:
            self.done["unavailable"] += 1
            return
        for _ in range(_BREAKER.failure_threshold):
            await registry.breaker(kind, client.name).arecord_failure()
        self.done["outcomes"] += _BREAKER.failure_threshold
        self.done["failures"] += _BREAKER.failure_threshold

    async def _override(self, registry: ServiceRegistry, kind: str) -> None:
        breaker = registry.breaker(kind, _names(kind)[1])
        await breaker.aforce_open("soak", duration=_SHORT)
        await breaker.aclear_override()
        await breaker.areset("soak")

    async def _come_and_go(self, registry: ServiceRegistry, kind: str, number: int) -> None:
        """Register and unregister one name that recurs, and one that is new each time."""
        for name in ("recurring", f"new-{number}"):
            self._register(registry, kind, name)
            await self._call(registry, kind, 2)
            registry.breaker(kind, name).record_failure()
            self.done["outcomes"] += 1
            self.done["failures"] += 1
            await self._call(registry, kind, 2)
            registry.unregister(name)

    async def _visit(self) -> None:
        """A registry joins with names of its own and leaves; every other one unregisters first."""
        self.done["visits"] += 1
        async with self._new() as visitor:
            kept = Client("")  # weakly held: gone with this function
            kept.name = visitor.register(HANDLER, _IN_ORDER, kept, weak=True)
            visitor.bind(_IN_TURN, factory=lambda one: Client(one.name))
            names = [self._register(visitor, kind, None) for kind in (_IN_ORDER, _CHECKED)]
            for kind in (_IN_TURN, _CHECKED, _IN_ORDER):
                await self._call(visitor, kind, 5)
            await visitor.breaker(_IN_ORDER, names[0]).arecord_failure()
            self.done["outcomes"] += 1
            self.done["failures"] += 1
            if self.done["visits"] % 2:
                visitor.clear_all()

    async def _read(self, registry: ServiceRegistry, kind: str) -> None:
        await registry.explain(HANDLER, kind)
        await registry.aget_provider_info(HANDLER)
        await registry.health_check_all()
        await registry.wait_ready(1.0, [kind])
        registry.health()


def _due(what: str, number: int) -> bool:
    every, first = _WHEN[what]
    return number % every == first


def _names(kind: str) -> list[str]:
    return [f"{kind}-{number}" for number in range(4)]


def _permanent() -> list[tuple[str, str]]:
    """The service type and name of each provider that stays registered."""
    return [(kind, name) for kind in (_IN_ORDER, _IN_TURN, _CHECKED) for name in _names(kind)]
