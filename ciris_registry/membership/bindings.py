"""How this process gets its instances: objects, weak references and factories.

Nothing here is shared with other processes. A binding of the registration comes first, then one of
the provider's name, then one of its service type.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from ciris_registry.errors import CallCancelledError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ciris_registry.circuit_breaker.outcomes import Classify
    from ciris_registry.registration import Registration
    from ciris_registry.store import Session

_log = logging.getLogger(__name__)


_LAST_TURNS: Final = 0.1
"""Seconds beyond its limit that a factory may take to end."""


class _Failed(NamedTuple):
    """In place of an instance: its factory failed."""

    error: Exception


class Binding:
    """One way to get an instance: an object, a weak reference, or a factory for the first use."""

    def __init__(
        self,
        instance: object = None,
        factory: Callable[[Registration], object] | None = None,
        *,
        weak: bool = False,
        classify: Classify | None = None,
    ) -> None:
        self.classify = classify
        self.on_death: Callable[[], None] | None = None
        self.on_made: Callable[[], None] | None = None
        self._instance = None if weak else instance
        self._factory = factory
        self._making: asyncio.Task[object] | None = None
        self._warned = False
        self._reference: weakref.ref[object] | None = None
        if weak:
            self._reference = weakref.ref(instance, self._died)

    def _died(self, _reference: object) -> None:
        if self.on_death is not None:
            self.on_death()

    def subject(self) -> object:
        """The factory, or the instance while it lives."""
        return self._factory if self._factory is not None else self.instance

    @property
    def alive(self) -> bool:
        """Whether there is an instance or a factory."""
        return self._factory is not None or self.instance is not None

    @property
    def instance(self) -> object:
        """The instance if it exists now, else None."""
        return self._reference() if self._reference is not None else self._instance

    @property
    def held(self) -> object:
        """The instance if it is held by a strong reference, else None."""
        return self._instance

    def derived(self) -> Binding:
        """A separate binding for one of the providers that this factory serves."""
        return Binding(self._instance, self._factory, classify=self.classify)

    @property
    def makes(self) -> bool:
        """Whether the instance comes from a factory."""
        return self._factory is not None

    async def get(
        self, registration: Registration, session: Session, limit: float
    ) -> tuple[object, Exception | None]:
        """The instance, or None and, for the one caller that reports it, why its factory failed.

        The factory has ``limit`` seconds. Concurrent first uses await one call of it.
        """
        instance = self.instance
        if instance is not None or self._factory is None:
            return instance, None
        making, new = self._making, False
        if making is None or making.get_loop() is not asyncio.get_running_loop():
            new = True
            making = self._making = session.spawn(self._make(registration, limit), watched=True)
            making.add_done_callback(self._made)
        # A caller that is cancelled does not cancel the others.
        await asyncio.wait({making}, timeout=limit + _LAST_TURNS)
        if not making.done() or making.cancelled():
            return None, None  # it ignores its cancellation, or the session ends
        made = making.result()
        if isinstance(made, _Failed):
            return None, made.error if new else None
        return made, None

    async def _make(self, registration: Registration, limit: float) -> object:
        try:
            async with asyncio.timeout(limit):
                made = cast("Callable[[Registration], object]", self._factory)(registration)
                if inspect.isawaitable(made):
                    made = await made
            if made is None:
                raise ValueError("it returned None")  # noqa: TRY301 # logged like every other failure
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return self._failed(registration, cancelled, CallCancelledError(registration.name))
        except Exception as error:  # noqa: BLE001 # a program's factory may raise anything
            return self._failed(registration, error, error)
        self._instance = made
        if self.on_made is not None:
            self.on_made()
        return made

    def _failed(
        self, registration: Registration, shown: BaseException, error: Exception
    ) -> _Failed:
        if not self._warned:
            _log.warning(
                "the factory of %s failed, so the provider is rejected: %r",
                registration.id,
                shown,
                extra={"provider": registration.name},
            )
        self._warned = True
        return _Failed(error)

    def _made(self, _task: asyncio.Task[object]) -> None:
        self._making = None


class Bindings:
    """The bindings of one process; ``version`` grows with each change."""

    def __init__(self) -> None:
        self.version = 0
        self.on_change: Callable[[], None] = lambda: None
        self._by_registration: dict[tuple[str, str], Binding] = {}
        self._by_target: dict[str, Binding] = {}
        self._derived: dict[tuple[str, str], Binding] = {}
        self._dead: deque[tuple[str, str]] = deque()

    def bind(self, registration: Registration, binding: Binding) -> None:
        """Bind one registration."""
        self._changed()
        binding.on_made = self._changed
        self._by_registration[registration.service_type, registration.id] = binding

    def bind_target(self, target: str, binding: Binding) -> None:
        """Bind every provider of this name or of this service type."""
        self._changed()
        self._by_target[target] = binding
        self._derived.clear()

    def _changed(self) -> None:
        self.version += 1
        self.on_change()

    def note_death(self, service_type: str, registration_id: str) -> None:
        """Note that a weakly held instance died. Safe during garbage collection."""
        self.version += 1
        self._dead.append((service_type, registration_id))

    def take_dead(self) -> Iterator[tuple[str, str]]:
        """The registrations whose instances died since the last call."""
        while self._dead:
            key = self._dead.popleft()
            binding = self._by_registration.get(key)
            if binding is not None and not binding.alive:
                yield key

    def unbind(self, service_type: str, registration_id: str) -> None:
        """Drop the binding of one registration."""
        self._changed()
        self._by_registration.pop((service_type, registration_id), None)

    def clear(self) -> None:
        """Drop all bindings."""
        self._changed()
        self._by_registration.clear()
        self._by_target.clear()
        self._derived.clear()

    def find(self, registration: Registration) -> Binding | None:
        """The binding by which this process can use a provider, else None."""
        service_type = registration.service_type
        binding = self._by_registration.get((service_type, registration.id))
        if binding is None and self._by_target:
            binding = self._by_target.get(registration.name) or self._by_target.get(service_type)
            if binding is not None and binding.makes:
                key = (service_type, registration.name)
                derived = self._derived.get(key)
                if derived is None:
                    derived = self._derived[key] = binding.derived()
                    derived.on_made = self._changed
                binding = derived
        return binding if binding is not None and binding.alive else None

    def has(self, registration: Registration) -> bool:
        """Whether this process can use a provider."""
        return self.find(registration) is not None

    def instance(self, registration: Registration) -> Any:  # a program's object
        """The instance that exists now, else None."""
        binding = self.find(registration)
        return binding.instance if binding is not None else None

    def instances(self, registrations: Iterable[Registration]) -> list[Any]:
        """The instances that exist now, each once."""
        found: list[Any] = []
        for one in registrations:
            instance = self.instance(one)
            if instance is not None and not any(known is instance for known in found):
                found.append(instance)
        return found
