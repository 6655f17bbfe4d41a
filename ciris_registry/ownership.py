"""Whose a registry is: its process's, and the program's that made it.

A copy that a fork made must not use its parent's connections. A registry that a program dropped
without closing it leaves no task behind, and says so.
"""

from __future__ import annotations

import os
import warnings
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ciris_registry.store import Session

_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


def owned(owner: object, session: Session) -> None:
    """Look after a session from now on, until its owner is dropped."""
    _sessions.add(session)
    # Not at exit: a program that never closes its registry ends quietly.
    weakref.finalize(owner, _dropped, session).atexit = False


def _dropped(session: Session) -> None:
    if session.abandon():
        warnings.warn(
            f"a registry on {session.url} was dropped without aclose(); its tasks are ended, "
            f"and its leases run out",
            ResourceWarning,
            stacklevel=2,
        )


def _forked() -> None:
    for session in list(_sessions):
        session.disown()


os.register_at_fork(after_in_child=_forked)
