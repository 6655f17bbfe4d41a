"""The command line: where it looks, and how it ends when it cannot."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ciris_registry import ServiceRegistry, __version__
from ciris_registry.store.scripts import load_scripts
from tests.unit.cli_run import ciris

if TYPE_CHECKING:
    from pathlib import Path


async def test_it_says_its_version() -> None:
    assert (await ciris("--version")).stdout == f"ciris-registry {__version__}\n"


@pytest.mark.parametrize("command", [["status"], ["events"], ["breaker", "reset", "llm", "one"]])
@pytest.mark.parametrize("url", ["", "memory://", "memory://shared"])
async def test_memory_cannot_be_looked_at_from_outside(command: list[str], url: str) -> None:
    result = await ciris(*command, url=url)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "memory://" in result.stderr
    assert "--url redis://" in result.stderr
    assert not result.stdout


@pytest.mark.parametrize(
    "url",
    [
        "redis://ada:sesame@127.0.0.1:1/0",
        "redis://ada:ses@me@127.0.0.1:1/0",
        "redis://ada:sesame@127.0.0.1:port/0",
        "valkey://ada:sesame@127.0.0.1",
        "rediss://ada:sesame@127.0.0.1:1/0?ssl_ca_certs=/not/there",
        "unix://ada:sesame@/not/there.sock",
    ],
)
async def test_what_cannot_be_reached_is_one_line_without_credentials(url: str) -> None:
    result = await ciris("status", url=url)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("ciris-registry: ")
    assert result.stderr.count("\n") == 1
    assert "ses" not in result.stderr
    assert "ada" not in result.stderr


async def test_a_refused_connection_is_reported_soon() -> None:
    began = time.monotonic()
    result = await ciris("status", url="redis://127.0.0.1:1/0")
    assert time.monotonic() - began < 1.0
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["status"], ["events"], ["breaker", "reset", "llm", "one"]])
async def test_a_hanging_server_is_waited_for_visibly_and_not_for_long(
    words: list[str], tmp_path: Path
) -> None:
    """It took ten seconds without output, and then reported five."""
    path = tmp_path / "hangs.sock"
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(path))
        hanging.listen()
        began = time.monotonic()

        result = await ciris(*words, url=f"unix://{path}")

        assert time.monotonic() - began < 4.5
    assert result.exit_code == 2
    waiting, error = result.stderr.splitlines()
    assert waiting == f"waiting for unix://{path}?db=0 …"
    assert error == f"ciris-registry: unix://{path}?db=0 cannot be used: no answer within 3 s"


async def test_the_url_may_stand_before_the_command_and_after_it(real_url: str) -> None:
    async with ServiceRegistry(url=real_url, namespace="blue") as registry:
        registry.register_global("llm", object(), name="one")
        await registry.flush()
        for words in (
            ["--url", real_url, "--namespace", "blue", "status"],
            ["status", "--url", real_url, "--namespace", "blue"],
            [
                "--url",
                "memory://",
                "--namespace",
                "red",
                "status",
                "--url",
                real_url,
                "--namespace",
                "blue",
            ],
        ):
            result = await ciris(*words)
            assert result.exit_code == 0, result.stderr
            assert "one" in result.stdout


@pytest.mark.parametrize("option", ["--namespace", "--type"])
async def test_an_invalid_name_is_refused(option: str, real_url: str) -> None:
    result = await ciris("status", option, "a{b", url=real_url)
    assert result.exit_code == 2
    assert "contains '{'" in result.stderr


async def test_lua_list_names_every_script_and_its_purpose() -> None:
    lines = (await ciris("lua", "list")).stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(load_scripts())
    assert all(len(line.split()) > 3 for line in lines)


async def test_lua_show_prints_exactly_what_redis_gets() -> None:
    script = load_scripts()["breaker_record"]
    assert (await ciris("lua", "show", "breaker_record")).stdout == script.text
    numbered = (await ciris("lua", "show", "breaker_record", "-n")).stdout.splitlines()
    assert [line[6:] for line in numbered] == script.text.splitlines()
    assert numbered[11].startswith("  12  ")


async def test_lua_show_names_the_known_scripts() -> None:
    result = await ciris("lua", "show", "breaker_close")
    assert result.exit_code == 2
    assert "breaker_override" in result.stderr


def _loaded_by(*words: str, url: str = "") -> set[str]:
    """The modules that a command loads, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ciris_registry", *words],
        env={**os.environ, "CIRIS_REGISTRY_URL": url},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


async def test_commands_load_only_what_they_need(real_url: str) -> None:
    lua = await asyncio.to_thread(_loaded_by, "lua", "list")
    assert not lua & {
        "fakeredis",
        "rich",
        "ciris_registry.cli.reading.status",
        "ciris_registry.demo",
    }
    status = await asyncio.to_thread(_loaded_by, "status", "--json", url=real_url)
    assert "ciris_registry.cli.reading.status" in status
    assert not status & {"fakeredis", "rich", "ciris_registry.demo"}
