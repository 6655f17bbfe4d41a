"""Reading foreign objects: an operation that raises counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_P = ParamSpec("_P")
_T = TypeVar("_T")


def tried(read: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
    """The result of ``read``; None if it raises."""
    try:
        return read(*args, **kwargs)
    except Exception:  # noqa: BLE001 # a foreign object may raise anything
        return None


def attribute(holder: object, name: str) -> object:
    """An attribute of any object; None if it is missing or raises."""
    try:
        return cast("object", getattr(holder, name, None))
    except Exception:  # noqa: BLE001 # as in tried, without a call more: it is used most
        return None


def plain_attribute(holder: object, name: str) -> object:
    """An attribute that is no property: to read aiohttp's ``code`` would raise a warning."""
    try:
        own = cast("dict[str, object]", holder.__dict__)
        return own[name] if name in own else cast("object", getattr(type(holder), name, None))
    except Exception:  # noqa: BLE001 # as in tried
        return None


def libraries_of(holder: object) -> frozenset[str]:
    """The names of the packages that the class of an object and its bases come from."""
    return _libraries(type(holder))  # type: ignore[arg-type] # classes are hashable


@lru_cache(maxsize=256)
def _libraries(kind: type) -> frozenset[str]:
    return frozenset(one.__module__.partition(".")[0] for one in kind.__mro__)


def item(holder: object, name: str) -> object:
    """The value of a key; None if it is missing, raises, or the object is no mapping."""
    if type(holder) is dict:  # nearly always; the check of an abstract class takes much longer
        return cast("dict[str, object]", holder).get(name)
    try:
        if isinstance(holder, Mapping):
            return cast("Mapping[str, object]", holder).get(name)
    except Exception:  # noqa: BLE001, S110 # as in tried
        pass
    return None
