"""How this process gets at its instances: objects, weak references and factories.

Owns nothing that is shared. A binding by registration comes first, then one by the provider's
name, then one by service type.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ciris_registry.circuit_breaker.outcomes import Classify
    from ciris_registry.registration import Registration

_log = logging.getLogger(__name__)


class Binding:
    """One way to get an instance: held, held weakly, or made on first use."""

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
        self._complained = False
        self._reference: weakref.ref[object] | None = None
        if weak:
            self._reference = weakref.ref(instance, self._died)

    def _died(self, _reference: object) -> None:
        if self.on_death is not None:
            self.on_death()

    def subject(self) -> object:
        """What the program gave: the instance as long as it lives, else the factory."""
        return self._factory if self._factory is not None else self.instance

    @property
    def alive(self) -> bool:
        """Whether an instance is there or can be made."""
        return self._factory is not None or self.instance is not None

    @property
    def instance(self) -> object:
        """The instance, if it is there now, else None."""
        return self._reference() if self._reference is not None else self._instance

    @property
    def held(self) -> object:
        """The instance, if it is here to stay: not one that is held weakly."""
        return self._instance

    def derived(self) -> Binding:
        """A binding of its own for one provider of a factory that serves several."""
        return Binding(self._instance, self._factory, classify=self.classify)

    @property
    def makes(self) -> bool:
        """Whether instances come from a factory."""
        return self._factory is not None

    async def get(self, registration: Registration) -> object:
        """The instance, made now if need be, once for all who wait; None if that fails."""
        instance = self.instance
        if instance is not None or self._factory is None:
            return instance
        if self._making is None or self._making.get_loop() is not asyncio.get_running_loop():
            self._making = asyncio.create_task(self._make(registration))
            self._making.add_done_callback(self._made)
        return await asyncio.shield(self._making)

    async def _make(self, registration: Registration) -> object:
        try:
            made = cast("Callable[[Registration], object]", self._factory)(registration)
            if inspect.isawaitable(made):
                made = await made
            if made is None:
                raise ValueError("it returned None")  # noqa: TRY301 # told like everything else
        except Exception as error:  # noqa: BLE001 # a program's factory may raise anything
            if not self._complained:
                _log.warning(
                    "the factory of %s failed; it is passed over: %r",
                    registration.id,
                    error,
                    extra={"provider": registration.name},
                )
            self._complained = True
            return None
        self._instance = made
        if self.on_made is not None:
            self.on_made()
        return made

    def _made(self, _task: asyncio.Task[object]) -> None:
        self._making = None


class Bindings:
    """All bindings of one process; ``version`` tells when they have changed."""

    def __init__(self) -> None:
        self.version = 0
        self.on_change: Callable[[], None] = lambda: None
        self._by_registration: dict[tuple[str, str], Binding] = {}
        self._by_word: dict[str, Binding] = {}
        self._derived: dict[tuple[str, str], Binding] = {}
        self._dead: deque[tuple[str, str]] = deque()

    def bind(self, registration: Registration, binding: Binding) -> None:
        """Bind one registration."""
        self._changed()
        binding.on_made = self._changed
        self._by_registration[registration.service_type, registration.id] = binding

    def bind_word(self, word: str, binding: Binding) -> None:
        """Bind every provider of this name or of this service type."""
        self._changed()
        self._by_word[word] = binding
        self._derived.clear()

    def _changed(self) -> None:
        self.version += 1
        self.on_change()

    def note_death(self, service_type: str, registration_id: str) -> None:
        """A weakly held instance is gone. Safe wherever garbage is collected."""
        self.version += 1
        self._dead.append((service_type, registration_id))

    def take_dead(self) -> Iterator[tuple[str, str]]:
        """The registrations whose instances have died since the last time."""
        while self._dead:
            key = self._dead.popleft()
            binding = self._by_registration.get(key)
            if binding is not None and not binding.alive:
                yield key

    def unbind(self, service_type: str, registration_id: str) -> None:
        """Forget one registration's binding."""
        self._changed()
        self._by_registration.pop((service_type, registration_id), None)

    def clear(self) -> None:
        """Forget everything."""
        self._changed()
        self._by_registration.clear()
        self._by_word.clear()
        self._derived.clear()

    def find(self, registration: Registration) -> Binding | None:
        """The binding through which this process uses a provider, if it has one that lives."""
        service_type = registration.service_type
        binding = self._by_registration.get((service_type, registration.id))
        if binding is None and self._by_word:
            binding = self._by_word.get(registration.name) or self._by_word.get(service_type)
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
        """The instance that is there now, if one is."""
        binding = self.find(registration)
        return binding.instance if binding is not None else None

    def instances(self, registrations: Iterable[Registration]) -> list[Any]:
        """The instances that are there now, each once."""
        found: list[Any] = []
        for one in registrations:
            instance = self.instance(one)
            if instance is not None and not any(known is instance for known in found):
                found.append(instance)
        return found
