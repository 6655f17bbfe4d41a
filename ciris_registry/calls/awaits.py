"""Whether a function had awaited anything when it raised: read from the code of its traceback.

A programming error before the first ``await`` cannot come from a provider's answer. Only an error
pays for this question: a call that succeeds does not watch its awaits.
"""

from __future__ import annotations

import dis
import functools
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, TracebackType

_OWN: Final = str(Path(__file__).parent)
_AWAITS: Final = frozenset({"GET_AWAITABLE", "GET_ANEXT"})
_SENDS: Final = frozenset({"SEND", "YIELD_VALUE", "RESUME"})
_LOOPS_OF_AN_AWAIT: Final = "JUMP_BACKWARD_NO_INTERRUPT"


class _Awaits(NamedTuple):
    """Offsets in the code of a function: its awaits, and its loops from first to last."""

    awaits: tuple[int, ...]
    sends: frozenset[int]
    loops: tuple[tuple[int, int], ...]

    def before(self, offset: int) -> bool:
        """Whether code at an offset runs after an await; true if it may."""
        earlier = [one for one in self.awaits if one < offset]
        if earlier and offset in self.sends:
            earlier.pop()  # it stands in this await
        return bool(earlier) or any(
            first <= offset <= last and any(first <= one <= last for one in self.awaits)
            for first, last in self.loops
        )


def may_have_awaited(error: BaseException) -> bool:
    """Whether the program's code had awaited anything before this error, as far as can be seen."""
    for frame, offset in _frames(error.__traceback__):
        code = frame
        if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
            return True  # it may have yielded before
        if code.co_flags & inspect.CO_COROUTINE and _awaits_of(code).before(offset):
            return True
    return False


def _frames(traceback: TracebackType | None) -> Iterator[tuple[CodeType, int]]:
    """The code of each frame and where it stands, without those of guarded calls at the top."""
    started = False
    while traceback is not None:
        code = traceback.tb_frame.f_code
        started = started or not code.co_filename.startswith(_OWN)
        if started:
            yield code, traceback.tb_lasti
        traceback = traceback.tb_next


@functools.lru_cache(maxsize=1024)
def _awaits_of(code: CodeType) -> _Awaits:
    awaits: list[int] = []
    sends: set[int] = set()
    loops: list[tuple[int, int]] = []
    for one in dis.get_instructions(code):
        if one.opname in _AWAITS:
            awaits.append(one.offset)
        elif one.opname in _SENDS:
            sends.add(one.offset)
        elif one.opname.startswith("JUMP_BACKWARD") and one.opname != _LOOPS_OF_AN_AWAIT:
            loops.append((int(one.argval), one.offset))
    return _Awaits(tuple(awaits), frozenset(sends), tuple(loops))
