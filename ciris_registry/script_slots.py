"""The slots of a script: named where it is called, numbered where Lua reads them.

Owns the order of KEYS and ARGV. It refuses a call that lacks a slot or has one too many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from ciris_registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Sequence

LayOut = Callable[[Mapping[str, Any]], list[str | int]]
"""What makes a flat list of what is given by name."""


class ScriptSlotError(RegistryError):
    """A script was called with other slots than its header names; nothing was sent to Redis.

    ``script`` is the script's name, ``table`` is ``KEYS`` or ``ARGV``; ``missing`` and ``unknown``
    are the names that the call lacks and those that the header does not have.
    """

    def __init__(
        self,
        script: str,
        table: Literal["KEYS", "ARGV"],
        slots: Sequence[str],
        given: Sequence[str],
    ) -> None:
        self.script = script
        self.table = table
        self.missing = tuple(slot for slot in slots if slot not in given)
        self.unknown = tuple(slot for slot in given if slot not in slots)
        problems = [
            f"{what} {', '.join(names)}"
            for what, names in (("missing", self.missing), ("unknown", self.unknown))
            if names
        ]
        super().__init__(
            f"script {script!r} takes the {table} slots ({', '.join(slots)}): "
            + ("; ".join(problems) or f"{slots[-1]} takes a sequence, not one string or number")
        )


class SlotTable:
    """KEYS or ARGV of one script."""

    __slots__ = ("_name", "_script", "_slots", "_take", "_variadic")

    def __init__(
        self, script: str, name: Literal["KEYS", "ARGV"], slots: Sequence[str], *, variadic: bool
    ) -> None:
        self._script = script
        self._name: Literal["KEYS", "ARGV"] = name
        self._slots = slots
        self._variadic = variadic
        # One call for all of them, whose answer is a tuple only if there are two or more.
        self._take = itemgetter(*slots) if len(slots) > 1 else self._take_few

    def lay_out(self, given: Mapping[str, Any]) -> list[str | int]:
        """What is given for the slots, in their order."""
        try:
            flat = [*self._take(given)]
        except KeyError:
            raise self._wrong(given) from None
        # Equal length and no KeyError mean equal names, without building a set on each call.
        if len(given) != len(flat):
            raise self._wrong(given)
        if self._variadic:
            tail = flat.pop()
            if isinstance(tail, (str, int)):
                raise self._wrong(given)
            flat += tail
        return flat

    def _take_few(self, given: Mapping[str, Any]) -> list[Any]:
        return [given[slot] for slot in self._slots]

    def _wrong(self, given: Mapping[str, Any]) -> ScriptSlotError:
        return ScriptSlotError(self._script, self._name, self._slots, tuple(given))
