"""The registry that the parts of one process share without passing it on."""

from __future__ import annotations

from ciris_registry.registry import ServiceRegistry

_shared: ServiceRegistry | None = None


def get_global_registry() -> ServiceRegistry:
    """The registry that this process shares among its parts, made on first use."""
    global _shared  # noqa: PLW0603 # that is what it is
    if _shared is None or not _shared.usable:
        _shared = ServiceRegistry()
    return _shared
