"""Reading foreign objects: an operation that raises counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
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
    return tried(cast("Callable[..., object]", getattr), holder, name, None)


def item(holder: object, name: str) -> object:
    """The value of a key; None if it is missing, raises, or the object is no mapping."""
    if not tried(isinstance, holder, Mapping):
        return None
    return tried(cast("Mapping[str, object]", holder).get, name)
