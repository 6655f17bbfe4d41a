"""Child processes of the bench and the demo: started, read from, ended."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from ciris_registry.demo.messages import Ready
from ciris_registry.local_fleet import Child, new_private_server, wait_until_removed

if TYPE_CHECKING:
    from pathlib import Path

    from ciris_registry.local_fleet import Message


def parse(line: bytes) -> Message:
    return Ready.model_validate_json(line)


async def test_a_child_reports_to_its_parent_and_ends_with_its_input() -> None:
    child = await Child.start("alpha", "ciris_registry.demo.upstream", "alpha")
    ready = await child.receive(parse)
    assert isinstance(ready, Ready)
    assert ready.port > 0
    await child.end()
    assert await child.exit_status() == "exit code 0"
    assert await child.receive(parse) is None


async def test_output_that_is_no_message_is_kept() -> None:
    child = await Child.start("none", "ciris_registry.no_such_module")
    assert await child.receive(parse) is None
    assert "No module named ciris_registry.no_such_module" in child.other_output[-1]
    assert await child.exit_status() == "exit code 1"
    child.send(Ready())  # no error
    await child.end()


async def test_a_child_that_ignores_its_input_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ciris_registry.local_fleet.child._GRACE", 0.1)
    child = await Child.start("deaf", "http.server", "0")
    began = time.monotonic()
    await child.end()
    assert time.monotonic() - began < 5
    assert await child.exit_status() == "killed by signal 9"
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


async def test_a_private_server_leaves_no_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path / ("long" * 25)  # too long for a socket
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    server = new_private_server("ciris-test")
    server.acquire()
    assert server.directory.exists()
    server.release()
    await wait_until_removed(server)
    assert not server.directory.exists()
