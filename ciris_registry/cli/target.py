"""The options of every command that say which state it uses, and how it ends on an error."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, TypeVar

import typer

from ciris_registry.cli.formatting import printable
from ciris_registry.errors import (
    EmbeddedServerError,
    RegistryError,
    StoreUnavailableError,
)
from ciris_registry.settings import environment_namespace, environment_url

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ciris_registry.cli.operator_session import OperatorSession
    from ciris_registry.store import Stores

_T = TypeVar("_T")

LIMIT: Final = 3.0
"""Seconds that a command waits for an answer; `events --follow` waits without end."""

_SILENCE: Final = 1.0
"""Seconds after which a command prints what it is waiting for."""

FAILED = 2
"""The exit code of a command that failed."""

Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="URL of the state; or CIRIS_REGISTRY_URL."),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace", metavar="NAME", help='The fleet; or CIRIS_REGISTRY_NAMESPACE, "default".'
    ),
]


def fail(error: Exception | str) -> NoReturn:
    """End the command with one line on stderr."""
    text = error.reason if isinstance(error, EmbeddedServerError) else str(error)
    typer.echo(f"ciris-registry: {printable(' '.join(text.split()))}", err=True)
    raise typer.Exit(FAILED)


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """The state that a command uses. The URL may hold a password, so this has no repr."""

    url: str | None
    namespace: str | None

    @classmethod
    def of(cls, context: typer.Context, url: str | None, namespace: str | None) -> Target:
        """From the options after the command, else before it, else from the environment."""
        before = context.find_object(Target) or cls(None, None)
        return cls(
            url or before.url or environment_url(),
            namespace or before.namespace or environment_namespace(),
        )

    def run(
        self, work: Callable[[Stores, str], Coroutine[Any, Any, _T]], limit: float | None = LIMIT
    ) -> _T:
        """Run ``work`` with the stores of this state and its URL without credentials.

        The command ends on an error of the URL or of Redis, and after ``limit`` seconds without an
        answer.
        """
        # Not every command needs a connection.
        from ciris_registry.cli.operator_session import OperatorSession  # noqa: PLC0415

        try:
            session = OperatorSession(self.url, self.namespace or "default")
            return asyncio.run(_with_store(session, work, limit))
        except RegistryError as error:
            fail(error)


async def _with_store(
    session: OperatorSession,
    work: Callable[[Stores, str], Coroutine[Any, Any, _T]],
    limit: float | None,
) -> _T:
    loop, where = asyncio.get_running_loop(), printable(session.url)
    notice = loop.call_later(_SILENCE, partial(typer.echo, f"waiting for {where} …", err=True))
    watch = asyncio.timeout(limit)

    def answered() -> None:
        notice.cancel()
        if limit is not None and not watch.expired():
            watch.reschedule(loop.time() + limit)

    session.answered = answered
    try:
        async with watch, session as stores:
            return await work(stores, session.url)
    except TimeoutError:
        if not watch.expired():
            raise
        raise StoreUnavailableError(where, f"no answer within {limit:g} s") from None
    finally:
        notice.cancel()
