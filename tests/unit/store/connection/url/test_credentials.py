"""Passwords that are asked for: by whom, how, and what happens if there is none."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as RedisConnectionError

from ciris_registry import ServiceRegistry
from ciris_registry.errors import RegistrationError
from ciris_registry.store.connection.url import StoreURL, login_of


class OnlyPlain(CredentialProvider):
    """A provider as redis-py's users write it."""

    def get_credentials(self) -> tuple[str, str]:
        return "ada", "sesame"


class InTheLoop(CredentialProvider):
    """One that has both forms."""

    def get_credentials(self) -> tuple[str, str]:
        raise AssertionError("the other form is for event loops")

    async def get_credentials_async(self) -> tuple[str, str]:
        return "ada", "sesame"


async def awaited() -> str:
    return "sesame"


async def asked(username: str | None, password: Any) -> Any:
    return await login_of(username, password)["credential_provider"].get_credentials_async()


@pytest.mark.parametrize(
    ("username", "password", "login"),
    [
        (None, lambda: "sesame", ("sesame",)),
        ("ada", lambda: "sesame", ("ada", "sesame")),
        ("ada", awaited, ("ada", "sesame")),
        ("ada", lambda: awaited(), ("ada", "sesame")),  # noqa: PLW0108 # returns an awaitable
        (None, lambda: ("bob", "sesame"), ("bob", "sesame")),
        (None, OnlyPlain(), ("ada", "sesame")),
        (None, InTheLoop(), ("ada", "sesame")),
    ],
)
async def test_each_form_of_password_gives_a_login(
    username: str | None, password: Any, login: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    assert await asked(username, password) == login
    assert not caplog.records, "redis-py warns of providers without a form for event loops"


async def test_a_plain_function_may_block_without_holding_up_the_loop() -> None:
    waits = threading.Event()

    def slow() -> str:
        waits.wait(30)
        return "sesame"

    answer = asyncio.create_task(asked(None, slow))
    await asyncio.sleep(0.01)
    assert not answer.done()
    waits.set()
    assert await answer == ("sesame",)


def fail() -> str:
    raise KeyError("no such secret")


@pytest.mark.parametrize(
    ("password", "problem"),
    [(fail, "could not be asked for: KeyError"), (lambda: None, "returned NoneType")],
)
async def test_no_password_is_no_connection(password: Any, problem: str) -> None:
    with pytest.raises(RedisConnectionError, match=problem):
        await asked(None, password)


@pytest.mark.parametrize(
    ("url", "password", "problem"),
    [
        ("redis://db", 5, "of type int; use a string, a function"),
        ("redis://:own@db", "other", "both give credentials"),
        ("redis://db?password=own", lambda: "other", "both give credentials"),
        ("redis+cluster://:own@db", "other", "both give credentials"),
        ("redis://ada@db", OnlyPlain(), "both give credentials"),
    ],
)
def test_a_password_that_cannot_be_used_is_refused_at_once(
    url: str, password: Any, problem: str
) -> None:
    with pytest.raises(RegistrationError, match=problem):
        ServiceRegistry(url=url, password=password)


@pytest.mark.parametrize("url", ["redis://ada@db", "unix://ada@/run/redis.sock", "redis://db"])
def test_a_password_is_never_shown(url: str) -> None:
    given = StoreURL.parse(url, "SECRET")
    assert given.password == "SECRET"
    assert "SECRET" not in f"{given} {given!r}"
    provider = login_of("ada", lambda: "SECRET")["credential_provider"]
    assert "SECRET" not in repr(provider)
    assert "<lambda>" not in repr(provider)
