"""Sending to Redis: retries, and the translation of errors."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from ciris_registry import RegistrySettings
from ciris_registry.errors import (
    AccessDeniedError,
    CommandRefusedError,
    StoreError,
    StoreUnavailableError,
)
from ciris_registry.store.connection.connectivity import RoundTrip
from ciris_registry.store.connection.retry import limited
from ciris_registry.store.connection.routing import DirectRoute
from ciris_registry.store.connection.transport import Transport
from tests.running import QUIETLY, run


async def nothing() -> None:
    """No server to restart."""


def route_of(client: Any) -> DirectRoute:
    return DirectRoute(client.connection_pool.make_connection)


def transport(write_timeout: float = 1.0) -> Transport:
    return Transport(route_of(Redis(port=1)), "redis://example:1/0", write_timeout, nothing)


async def test_a_cancellation_that_comes_together_with_the_reply_is_not_lost() -> None:
    async def swallowing() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "a reply"
        return ""

    task = asyncio.create_task(transport().attempt(lambda: limited(swallowing(), 5.0)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_that_was_dropped_before_the_call_failed_is_not_lost() -> None:
    async def swallowing() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise RedisConnectionError("the client is closed") from None
        return ""

    task = asyncio.create_task(transport().attempt(lambda: limited(swallowing(), 5.0)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(("repeatable", "attempts"), [(True, 3), (False, 1)])
async def test_only_a_repeatable_call_is_sent_twice(repeatable: bool, attempts: int) -> None:
    sent = 0

    async def flaky() -> str:
        nonlocal sent
        sent += 1
        if sent < 3:
            raise RedisConnectionError("Connection closed by server.")
        return "done"

    if repeatable:
        assert await transport().attempt(flaky, repeatable=True) == "done"
    else:
        with pytest.raises(StoreUnavailableError, match="Connection closed by server"):
            await transport().attempt(flaky, repeatable=False)
    assert sent == attempts


async def test_a_call_whose_connection_was_refused_was_never_sent_and_is_retried() -> None:
    sent = 0

    async def refused() -> str:
        nonlocal sent
        sent += 1
        if sent < 3:
            raise RedisConnectionError("refused") from ConnectionRefusedError()
        return "done"

    assert await transport().attempt(refused, repeatable=False) == "done"


async def test_retries_end_after_the_write_timeout() -> None:
    async def fail() -> Any:
        raise RedisConnectionError("gone")

    with pytest.raises(StoreUnavailableError, match="redis://example:1/0 cannot be used: gone"):
        await transport(write_timeout=0.1).attempt(fail)


async def answered_with(line: str, times: int = 1000) -> tuple[Any, int]:
    """What this reply line becomes if it comes so many times, and how often GET was sent."""
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while count := await reader.readline():
            words = []
            for _ in range(int(count[1:])):
                await reader.readline()
                words.append((await reader.readline()).strip())
            sent += words[0] == b"GET"
            refused = words[0] == b"GET" and sent <= times
            writer.write(f"-{line}\r\n".encode() if refused else b"+OK\r\n")
        writer.close()

    socket = Path(tempfile.gettempdir()) / f"ciris-{secrets.token_hex(6)}"
    async with await asyncio.start_unix_server(serve, socket):
        async with Redis(unix_socket_path=str(socket), protocol=2) as client:
            near = RoundTrip("", RegistrySettings(store_timeout=0.1))
            transport = Transport(route_of(client), "unix://example", 0.0, nothing, round_trip=near)
            found: Any
            try:
                found = await transport.ask("GET", "key")
            except StoreError as error:
                found = error
            await transport.aclose()
        await asyncio.sleep(0)
    socket.unlink(missing_ok=True)
    return found, sent


IN_A_SCRIPT_OF_6_2 = "ERR Error running script (call to f_8d7c): @user_script:5: @user_script: 5: -"


@pytest.mark.parametrize("wrapped", ["", IN_A_SCRIPT_OF_6_2], ids=["plain", "in a script of 6.2"])
@pytest.mark.parametrize(
    "line",
    [
        "READONLY You can't write against a read only replica.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "NOREPLICAS Not enough good replicas to write.",
        "ERR unknown command 'GET'",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL.",
    ],
)
async def test_a_server_that_refuses_for_a_while_counts_as_away(line: str, wrapped: str) -> None:
    """Errors whose code redis-py removes did not count."""
    error, sent = await answered_with(wrapped + line)
    assert isinstance(error, StoreUnavailableError)
    assert line.partition(" ")[2] in str(error)
    assert sent == 1, "the server would refuse again"


@pytest.mark.parametrize("code", ["TRYAGAIN", "CLUSTERDOWN"])
async def test_a_slot_that_moves_is_asked_again_before_it_counts_as_away(code: str) -> None:
    """It was raised into callers, though the slot was served again within milliseconds."""
    error, sent = await answered_with(f"{code} The slot is on its way")
    assert isinstance(error, StoreUnavailableError)
    assert sent > 3
    reply, sent = await answered_with(f"{code} The slot is on its way", times=3)
    assert reply == "OK"
    assert sent == 4


@pytest.mark.parametrize(
    "line",
    [
        "BUSYGROUP Consumer Group name already exists",
        "ERR the value 'READONLY' is not known",
    ],
)
async def test_an_unknown_error_of_redis_counts_as_away_and_is_not_retried(line: str) -> None:
    """It was raised into callers."""
    error, sent = await answered_with(line)
    assert isinstance(error, CommandRefusedError)
    assert line.removeprefix("ERR ") in str(error)
    assert sent == 1


async def test_a_missing_permission_is_an_access_error() -> None:
    error, sent = await answered_with("NOPERM this user has no permissions to run the command")
    assert isinstance(error, AccessDeniedError)
    assert sent == 1, "the reply would be the same"


def test_hundreds_of_calls_at_once_share_one_connection(real_url: str) -> None:
    assert run("many_calls_share_a_connection", real_url) == QUIETLY
