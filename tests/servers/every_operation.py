"""Uses every public operation once, in two registries of one fleet, as programs would."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, Protocol

from ciris_registry import (
    CircuitBreakerConfig,
    NoProviderError,
    RegistrySettings,
    SelectionStrategy,
    ServiceRegistry,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

SETTINGS: Final = RegistrySettings(
    lease=1.0,
    heartbeat_interval=0.05,
    max_staleness=0.3,
    store_timeout=2.0,
    success_report_interval=0.05,
    write_timeout=5.0,
    breaker=CircuitBreakerConfig(failure_threshold=2, recovery_timeout=0.05, success_threshold=1),
)
SHORT_LEASE: Final = SETTINGS.model_copy(update={"lease": 0.3, "write_timeout": 0.2})
RATE: Final = CircuitBreakerConfig(failure_threshold=100, minimum_calls=4)
"""Opens by its rate alone."""

OUTCOMES: Final = (ConnectionError("away"), ConnectionError("away"), None, None)
"""Those of four calls: the breaker opens, its probe succeeds, it closes."""


class Model(Protocol):
    """What the provider can do."""

    async def complete(self, text: str) -> str:
        """A completion."""
        ...


class Provider:
    """A provider that does as it is asked to."""

    async def complete(self, text: str) -> str:
        return text

    async def raises(self, error: Exception | None) -> str:
        if error is not None:
            raise error
        return "done"

    async def tokens(self) -> AsyncIterator[str]:
        yield "one"
        yield "two"

    async def is_healthy(self) -> bool:
        return True


class EveryOperation:
    """All public operations on the state at ``url``, in the given mode."""

    def __init__(self, url: str, namespace: str, mode: str, **settings: Any) -> None:
        self._url, self._namespace = url, namespace
        changed = SETTINGS.model_copy(update=settings)
        options: dict[str, Any] = {"consistency": mode, "settings": changed}
        self.first = ServiceRegistry(url=url, namespace=namespace, **options)
        self.second = ServiceRegistry(url=url, namespace=namespace, **options)
        self._refused = self._failed = False

    async def run(self) -> None:
        """Use all of them.

        Whatever an operation raises is raised here, except what says that no provider can be used.
        """
        async with self.first, self.second:
            for step in self._steps():
                await step()

    async def problem_without(self, command: str) -> str:
        """Use all of them without the right to a command; what should not have happened, if any.

        Operations whose only purpose is Redis may say that it is away.
        """
        self._refused, said = True, set[str]()
        async with self.first, self.second:
            for step in self._steps():
                try:
                    await step()
                except StoreUnavailableError as error:
                    said.add(str(error))
                except Exception as error:  # noqa: BLE001 # the test reports it
                    return f"{step.__name__} raised {error!r}"
                said |= {self.first.health().error, self.second.health().error}
        named = any(f"'{command}'" in one for one in said)
        return "" if named else f"no health() named it, but {said}"

    def _steps(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        return self.registering, self.calling, self.reading, self.operating, self.leaving

    async def registering(self) -> None:
        """Register in every way, join, and change the settings of a breaker."""
        for registry in (self.first, self.second):
            registry.register("chat", "llm", Provider(), name="shared", max_in_flight=9)
            registry.register_global("memory", Provider(), name="store", metadata={"a": 1})
            registry.register("chat", "audit", Provider(), name="sick", circuit_breaker_config=RATE)
            for name in ("left", "right"):
                strategy = SelectionStrategy.ROUND_ROBIN
                registry.register("*", "tool", Provider(), name=name, strategy=strategy)
        await self.first.flush()
        await self.second.flush()
        self.first.register_global("audit", Provider(), name="log")
        self.second.bind("log", Provider())
        await self.first.flush()
        await self.first.wait_ready(2, ["llm"])

    async def calling(self) -> None:
        """Resolve, call, stream, and let a breaker open, be probed and close."""
        for registry in (self.first, self.second):
            await registry.get_service("chat", "llm")
            await registry.get_service_with_fallback("chat", "memory")
            for _ in range(3):
                await self.call(registry, "tool", None)
            await self.call(registry, "llm", None)
        with contextlib.suppress(Exception):
            async with self.first.acquire("chat", "llm") as instance:
                await instance.complete("text")
        async for _ in self.first.stream("chat", "llm", Provider.tokens):
            pass
        proxy = self.first.proxy(Model, handler="chat", service_type="llm")
        await proxy.complete("text")
        for outcome in (*OUTCOMES, *OUTCOMES):
            for registry in (self.first, self.second):
                with contextlib.suppress(NoProviderError):  # the rate has opened it
                    await self.call(registry, "audit", outcome)
        for outcome in OUTCOMES:
            await self.call(self.first, "llm", outcome)
            await asyncio.sleep(0.06)  # longer than the recovery timeout

    async def call(self, registry: ServiceRegistry, kind: str, outcome: Exception | None) -> None:
        """One guarded call; what the provider raises is not raised."""
        try:
            await registry.call("chat", kind, Provider.raises, outcome)
        except NoProviderError:
            if not (self._refused and self._failed):
                raise  # without Redis, a breaker that has opened takes its own time
        except Exception as error:
            if error is not outcome:
                raise
        self._failed = self._failed or outcome is not None

    async def reading(self) -> None:
        """Ask for everything that can be asked."""
        for registry in (self.first, self.second):
            await registry.refresh()
            await registry.explain("chat", "llm")
            await registry.aget_provider_info()
            await registry.health_check_all()
            await registry.breaker("llm", "shared").aget_stats()
        registry.get_provider_info()
        registry.get_services_by_type("llm")
        registry.health()

    async def operating(self) -> None:
        """Report outcomes, and do what operators do, while another registry reads the events."""
        handle = self.first.breaker("llm", "shared")
        events = self.second.events("llm")
        await self.second.flush()
        await handle.arecord_failure()
        await handle.arecord_success()
        await handle.ais_available()
        await handle.acool_down(0.02, "limit")
        await handle.aforce_open("maintenance", 60)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await anext(events)
        await self.second.get_service("chat", "llm")
        await handle.aforce_close("tested")
        await handle.aclear_override()
        await handle.areset("new key")
        await self.first.areset_circuit_breakers()
        handle.record_success()
        handle.record_failure()
        await self.first.flush()

    async def leaving(self) -> None:
        """Unregister some, then all, after a process that dies and whose lease is over."""
        dying = ServiceRegistry(url=self._url, namespace=self._namespace, settings=SHORT_LEASE)
        dying.register("chat", "llm", Provider(), name="dying")
        with contextlib.suppress(StoreUnavailableError):
            await dying.flush()
        dying._session.abandon()
        await asyncio.sleep(0.6)  # its lease, and heartbeats that look for it
        await self.first.aunregister("left")
        await self.first.aclear_all()
        await self.first.flush()
