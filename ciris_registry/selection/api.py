"""The public methods of resolving and explaining, with the checks of their arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ciris_registry.selection.picker import key_of
from ciris_registry.selection.request import Consistency, is_exact, request_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from enum import Enum

    from ciris_registry.explanation import Explanation
    from ciris_registry.selection.explain import Explainer
    from ciris_registry.selection.picker import Pickers
    from ciris_registry.selection.resolver import Resolver


class Resolving(Protocol):
    """What resolves the requests for some service types."""

    pickers: Pickers
    resolver: Resolver
    explainer: Explainer


_Parts = TypeVar("_Parts", bound=Resolving)


class ResolvingMethods(Generic[_Parts]):
    """The methods of a registry that find an instance, or explain which one they would find.

    ``_ready`` has what resolves a service type, by the name that programs give it; what it has not
    yet is asked of ``_agreed``.
    """

    _exact: bool
    _ready: Mapping[object, _Parts]

    async def _agreed(self, service_type: str | Enum) -> _Parts:
        """What resolves a service type, as the fleet has agreed on it."""
        raise NotImplementedError

    async def get_service(
        self,
        handler: str,
        service_type: str | Enum,
        required_capabilities: Collection[str] | None = None,
        fallback_to_global: bool = True,  # as in the in-process registry
        *,
        consistency: Consistency | None = None,
    ) -> Any:  # a program's object
        """The first instance in order that can be used now, or None.

        It takes no slot of a provider with ``max_in_flight``, because the end of its use is
        unknown, and may return a provider whose slots are all taken. ``acquire``, ``call`` and
        ``stream`` take slots.

        In cached mode, the registry's default, it asks Redis only for the permit of a probe, for
        the next block of positions of a round robin, or if Redis was silent for
        ``settings.max_staleness``. In exact mode it makes one script call, and one more for a
        permit. While Redis is unreachable it uses the replica.

        Raises:
            InvalidNameError: The handler or service type is invalid.
            RegistrationError: The capabilities or the consistency are invalid.
        """
        exact = self._exact if consistency is None else is_exact(consistency)
        try:
            parts = self._ready[service_type]
        except (KeyError, TypeError):  # not asked for yet, or no valid name
            request_of(handler, service_type, required_capabilities, fallback_to_global)
            parts = await self._agreed(service_type)
        key = key_of(handler, service_type, required_capabilities, fallback_to_global)
        picker = parts.pickers.find(key)
        if picker is None:
            request = request_of(handler, service_type, required_capabilities, fallback_to_global)
        else:
            pick = None if exact else picker.pick()
            if pick is not None:
                return pick.instance
            request = picker.request
        return await parts.resolver.resolve(request, exact=exact, key=key, known=picker)

    async def explain(
        self,
        handler: str,
        service_type: str | Enum,
        required_capabilities: Collection[str] | None = None,
        fallback_to_global: bool = True,  # as get_service
    ) -> list[Explanation]:
        """What ``get_service`` would do with each registration, and why.

        It runs no health check, takes no permit and moves no round robin.

        Raises:
            InvalidNameError: The handler or service type is invalid.
            RegistrationError: The capabilities are invalid.
        """
        request = request_of(handler, service_type, required_capabilities, fallback_to_global)
        parts = await self._agreed(service_type)
        return await parts.explainer.explain(request)
