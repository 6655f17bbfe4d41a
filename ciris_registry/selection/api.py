"""Resolving, as programs call it: the public signatures, and the checks of their arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ciris_registry.selection.picker import key_of
from ciris_registry.selection.request import Consistency, is_exact, request_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from enum import Enum

    from ciris_registry.explanation import Explanation
    from ciris_registry.selection.explain import Explainer
    from ciris_registry.selection.picker import Pickers
    from ciris_registry.selection.resolver import Resolver


class ResolvingMethods:
    """The methods of a registry that find an instance, or say which one would be found."""

    _pickers: Pickers
    _resolver: Resolver
    _explainer: Explainer

    async def get_service(
        self,
        handler: str,
        service_type: str | Enum,
        required_capabilities: Collection[str] | None = None,
        fallback_to_global: bool = True,  # as in the in-process registry
        *,
        consistency: Consistency | None = None,
    ) -> Any:  # a program's object
        """The best instance that can be used now, or None.

        It takes no slot of a provider with ``max_in_flight``, and is not kept from one that is
        full, because the end of its use is unknown. ``acquire``, ``call`` and ``stream`` do.

        In cached mode, the registry's default, it asks Redis only for the permit of a probe, for
        the next block of positions of a round robin, or when Redis was silent for
        ``settings.max_staleness``. In exact mode it is one script call, and one more for a permit.
        While Redis is away it goes by the replica.

        Raises:
            InvalidNameError: The handler or service type cannot be one.
        """
        exact = self._resolver.exact if consistency is None else is_exact(consistency)
        key = key_of(handler, service_type, required_capabilities, fallback_to_global)
        picker = self._pickers.find(key)
        if picker is None:
            request = request_of(handler, service_type, required_capabilities, fallback_to_global)
        else:
            pick = None if exact else picker.pick()
            if pick is not None:
                return pick.instance
            request = picker.request
        return await self._resolver.resolve(request, exact=exact, key=key, known=picker)

    async def explain(
        self,
        handler: str,
        service_type: str | Enum,
        required_capabilities: Collection[str] | None = None,
        fallback_to_global: bool = True,  # as get_service
    ) -> list[Explanation]:
        """What ``get_service`` would do with each registration, and why.

        It asks no health check, takes no permit and moves no round robin.

        Raises:
            InvalidNameError: The handler or service type cannot be one.
        """
        request = request_of(handler, service_type, required_capabilities, fallback_to_global)
        return await self._explainer.explain(request)
