"""Looking at objects that somebody else wrote: what misbehaves counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_P = ParamSpec("_P")
_T = TypeVar("_T")


def tried(read: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
    """What ``read`` answers; None if it raises."""
    try:
        return read(*args, **kwargs)
    except Exception:  # noqa: BLE001 # a foreign object may raise anything
        return None


def attribute(holder: object, name: str) -> object:
    """An attribute of anything; None if it has none, or raises."""
    return tried(cast("Callable[..., object]", getattr), holder, name, None)


def item(holder: object, name: str) -> object:
    """What a mapping has under a name; None if it has nothing, raises or is no mapping."""
    if not tried(isinstance, holder, Mapping):
        return None
    return tried(cast("Mapping[str, object]", holder).get, name)
