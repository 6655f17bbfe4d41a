"""Redis denies access: one error is logged, and the program goes on."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import pytest
import redis

from ciris_registry import RegistrySettings, ServiceRegistry
from ciris_registry.errors import StoreUnavailableError
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from tests.fleet.server import Server

SETTINGS = RegistrySettings(store_timeout=1.0, write_timeout=0.2)


class Client:
    """A provider."""


@pytest.mark.parametrize("wrong", ["no password", "the password", "the rights", "the database"])
async def test_it_is_one_error_in_the_log(
    server: Server, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It was a warning that Redis is away, and a wrong database raised in each resolve."""
    where = str(server.socket)
    url = {
        "no password": f"unix://{where}",
        "the password": f"unix://:open@{where}",
        "the rights": f"unix://ada:sesame@{where}",
        "the database": f"unix://:sesame@{where}?db=99",
    }[wrong]
    with redis.Redis(unix_socket_path=where, decode_responses=True) as client:
        client.execute_command(
            "ACL", "SETUSER", "ada", "on", ">sesame", "~*", "&*", "+@all", "-evalsha", "-eval"
        )
        client.config_set("requirepass", "sesame")
        with caplog.at_level(logging.INFO):
            async with ServiceRegistry(url=url, settings=SETTINGS) as registry:
                registry.register_global("llm", Client(), name="one")
                for _ in range(3):
                    assert await registry.get_service("h", "llm") is not None
                await async_wait_until(lambda: registry.health().redis == "lost")
                assert registry.health().error
                assert "cannot be used" not in registry.health().error
                with pytest.raises(StoreUnavailableError) as raised:
                    await registry.flush()
                assert str(raised.value).count("cannot be used") == 1
                errors = [one for one in caplog.records if one.levelno >= logging.ERROR]
                assert len(errors) == 1, caplog.messages
                assert "denies access to this process" in errors[0].getMessage()
                assert "sesame" not in caplog.text


async def test_the_log_line_of_the_end_of_an_outage_has_the_url_and_the_duration(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with ServiceRegistry(url=server.url, settings=SETTINGS) as registry:
        registry.register_global("llm", Client(), name="one")
        await registry.flush()
        server.kill()
        await async_wait_until(lambda: registry.health().redis == "lost")
        server.start()
        await async_wait_until(lambda: registry.health().ok)
    away, back = [line for line in caplog.messages if line.startswith("Redis is ")]
    assert away.count("cannot be used") == 0
    assert str(server.socket) in away
    assert str(server.socket) in back
    assert re.match(r"Redis is back after \d+\.\d s: ", back)


async def test_a_registry_without_a_url_logs_that_it_shares_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CIRIS_REGISTRY_URL", raising=False)
    with caplog.at_level(logging.INFO):
        ServiceRegistry(url="memory://")
        assert not caplog.messages
        ServiceRegistry()
    assert len([line for line in caplog.messages if "private to this process" in line]) == 1
