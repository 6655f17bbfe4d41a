"""The rights that ``docs/how-to/redis-in-production.md`` gives to a user are enough.

None of them is too many.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

import pytest

from tests.documentation import text_of
from tests.servers import Server
from tests.servers.every_operation import EveryOperation
from tests.servers.rights import (
    PAGE,
    add_user,
    documented_commands,
    routing_commands,
    used_commands,
)
from tests.unit.cli_run import ciris

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS: Final = (
    ("status",),
    ("events", "--last", "5"),
    ("breaker", "force-open", "llm", "shared", "--reason", "test"),
    ("breaker", "reset", "llm", "shared"),
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of this file's own, whose users it makes."""
    with Server() as one:
        yield one


def test_the_documented_line_names_each_command_that_is_used_and_no_other(server: Server) -> None:
    assert documented_commands() == used_commands(server)


def test_the_page_names_the_rights_that_sentinels_and_a_cluster_need() -> None:
    named = set(re.findall(r"`\+(\S+)`", text_of(PAGE)))
    assert routing_commands() - named == set()


@pytest.mark.parametrize("mode", ["cached", "exact"])
async def test_every_operation_works_with_the_documented_rights(
    server: Server, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = add_user(server)
    server.ask("ACL", "LOG", "RESET")
    server.ask("CONFIG", "RESETSTAT")
    server.ask("SCRIPT", "FLUSH")
    with caplog.at_level(logging.WARNING):
        await EveryOperation(url, f"rights-{mode}", mode).run()
        for words in COMMANDS:
            ended = await ciris(*words, "--namespace", f"rights-{mode}", url=url)
            assert ended.exit_code == 0, ended.output
    assert denied(server) == set()
    assert documented_commands() - used_now(server) == set()
    assert [one.getMessage() for one in caplog.records] == []


def denied(server: Server) -> set[str]:
    """What a user was denied, but for what redis-py tries while it connects."""
    log = [dict(zip(one[::2], one[1::2], strict=True)) for one in server.ask("ACL", "LOG", 100)]
    return {one["object"] for one in log} - {"client|setinfo", "client"}  # Redis 6.2 says less


def used_now(server: Server) -> set[str]:
    """The commands that the server has run, also in scripts, since its figures were reset."""
    return {one.removeprefix("cmdstat_") for one in server.info("commandstats")}
