"""Proxies: objects with the methods of a protocol, each of which is a guarded call.

The declaration of a method decides: ``async def`` is a call, a method that returns an asynchronous
iterator is a stream. Any other attribute raises ``ProxyError``, because a proxy chooses a provider
for each call.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Protocol

from ciris_registry.errors import ProxyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STREAMS: Final = frozenset({"AsyncIterator", "AsyncGenerator", "AsyncIterable"})
_CALLS: Final = frozenset({"Awaitable", "Coroutine"})
_BASES: Final = frozenset({object, Protocol, Generic})


def new_proxy(protocol: Any, call: Callable[..., Any], stream: Callable[..., Any]) -> Any:
    """Make a proxy for a protocol.

    ``call`` and ``stream`` take a function of the instance, and its further arguments.

    Raises:
        ProxyError: The protocol is no class.
    """
    if not isinstance(protocol, type):
        raise ProxyError(f"{protocol!r} is no class; give a Protocol, or the class of the client")
    members: dict[str, Any] = {"__slots__": (), "__doc__": protocol.__doc__, "_refused": {}}
    for name in _declared(protocol):
        declared = inspect.getattr_static(protocol, name, None)
        method = _guarded(name, declared, call, stream) if inspect.isfunction(declared) else None
        if method is not None:
            members[name] = method
        else:
            members["_refused"][name] = _refusal(protocol, name)
    return type(f"{protocol.__name__}Proxy", (_Proxy,), members)()


class _Proxy:
    """The base class of all proxies."""

    __slots__ = ()
    _refused: ClassVar[dict[str, str]]

    def __getattr__(self, name: str) -> Any:
        unknown = f"{type(self).__name__} has no {name!r}: its protocol does not declare it"
        raise ProxyError(self._refused.get(name, unknown))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def _declared(protocol: type) -> Iterator[str]:
    """The public attributes that a class and its bases declare, and ``__call__``."""
    for one in protocol.__mro__:
        if one not in _BASES:
            for name in {**vars(one), **vars(one).get("__annotations__", {})}:
                if not name.startswith("_") or name == "__call__":
                    yield name


def _guarded(
    name: str,
    declared: Callable[..., Any],
    call: Callable[..., Any],
    stream: Callable[..., Any],
) -> Callable[..., Any] | None:
    """The method of the proxy; None if the declared one is not asynchronous."""

    def use(instance: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(instance, name)(*args, **kwargs)

    @functools.wraps(declared)
    def called(_self: object, *args: Any, **kwargs: Any) -> Any:
        return call(use, args, kwargs)

    @functools.wraps(declared)
    def streamed(_self: object, *args: Any, **kwargs: Any) -> Any:
        return stream(use, args, kwargs)

    @functools.wraps(declared)
    async def opened(_self: object, *args: Any, **kwargs: Any) -> Any:
        return stream(use, args, kwargs)

    returned = _returned(declared)
    if inspect.iscoroutinefunction(declared):
        return opened if returned in _STREAMS else called
    if inspect.isasyncgenfunction(declared) or returned in _STREAMS:
        return streamed
    return called if returned in _CALLS else None


def _returned(method: Callable[..., Any]) -> str:
    """The unqualified name of the return annotation of a method."""
    annotation: Any = method.__annotations__.get("return", "")
    if not isinstance(annotation, str):
        annotation = getattr(annotation, "__origin__", annotation)
        return str(getattr(annotation, "__name__", ""))
    return annotation.partition("[")[0].rpartition(".")[2].strip()


def _refusal(protocol: type, name: str) -> str:
    return (
        f"{protocol.__name__}.{name} is not asynchronous, and a proxy chooses a provider for each "
        f"asynchronous call: make it async, or get a provider with registry.acquire(…) or "
        f"registry.get_service(…)"
    )
