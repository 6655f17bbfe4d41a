"""The embedded server runs while it has a user, and leaves nothing behind after any kill."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
import redis

from ciris_registry.store.connection import embedded_supervisor as supervisor
from ciris_registry.store.connection.embedded import EmbeddedServer
from tests.running import start
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


class User:
    """A process that uses the server in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.process = start("uses_the_embedded_server", directory)

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def acquire(self) -> Self:
        self.tell("acquire")
        assert self.hear().endswith("valkey.sock")
        return self

    def release(self) -> None:
        self.tell("release")
        assert self.hear() == "released"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def leave(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0


class Place:
    """A directory for a server, and the processes that work on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.users: list[User] = []

    def user(self) -> User:
        self.users.append(User(self.directory))
        return self.users[-1]

    def processes(self) -> list[tuple[int, str]]:
        """The supervisors and servers that name the directory in their command lines."""
        listing = subprocess.run(
            ["ps", "-ww", "-eo", "pid=,stat=,args="],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
        rows = [line.split(None, 2) for line in listing.stdout.splitlines()]
        return [
            (int(pid), command)
            for pid, state, command in rows
            if str(self.directory) in command and "valkey-server" in command and "Z" not in state
        ]

    def supervisors(self) -> list[int]:
        return [pid for pid, command in self.processes() if "embedded_supervisor.py" in command]

    def servers(self) -> list[int]:
        return [pid for pid, command in self.processes() if "embedded_supervisor.py" not in command]

    def kill(self, pids: list[int]) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not set(pids) & {pid for pid, _ in self.processes()})

    def client(self) -> redis.Redis:
        return redis.Redis(
            unix_socket_path=str(self.directory / "valkey.sock"), decode_responses=True
        )

    def run_id(self) -> object:
        with contextlib.closing(self.client()) as client:
            return client.info("server")["run_id"]

    def is_clean(self) -> bool:
        names = [path.name for path in self.directory.parent.iterdir()]
        return not names and not self.processes()


@pytest.fixture
def place() -> Iterator[Place]:
    # Not tmp_path: with a test's name in it, it is too long for a socket.
    parent = Path(tempfile.mkdtemp(prefix="ciris-test-"))
    here = Place(parent / "server")
    try:
        yield here
        wait_until(here.is_clean)
    finally:
        for user in here.users:
            user.kill()
        for pid, _ in here.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(parent)


def test_the_next_process_finds_the_server_of_the_first(place: Place) -> None:
    first = place.user().acquire()
    run_id = place.run_id()
    second = place.user().acquire()
    first.leave()
    third = place.user().acquire()

    assert place.run_id() == run_id

    second.leave()
    third.leave()


def test_eight_processes_that_start_at_once_share_one_server(place: Place) -> None:
    users = [place.user() for _ in range(8)]
    for user in users:
        user.tell("acquire")

    assert {user.hear() for user in users} == {str(place.directory / "valkey.sock")}
    assert len(place.servers()) == 1
    assert len(place.supervisors()) == 1

    for user in users:
        user.leave()


def test_the_server_ends_when_the_last_user_releases_it(place: Place) -> None:
    first, second = place.user().acquire(), place.user().acquire()

    first.release()
    assert place.servers()
    second.release()

    wait_until(place.is_clean)


def test_the_server_ends_when_all_its_users_are_killed(place: Place) -> None:
    users = [place.user().acquire() for _ in range(4)]

    for user in users:
        user.kill()

    wait_until(place.is_clean)


def test_the_death_of_one_user_does_not_affect_the_others(place: Place) -> None:
    victim, other = place.user().acquire(), place.user().acquire()
    run_id = place.run_id()

    victim.kill()
    other.acquire()

    assert place.run_id() == run_id
    other.leave()


def test_the_server_outlives_the_process_that_started_it(place: Place) -> None:
    starter = place.user().acquire()
    other = place.user().acquire()
    run_id = place.run_id()

    starter.kill()
    place.user().acquire().leave()

    assert place.run_id() == run_id
    other.leave()


def test_a_new_user_keeps_a_server_whose_end_has_not_begun(place: Place) -> None:
    last = place.user().acquire()
    run_id = place.run_id()
    [pid] = place.supervisors()
    os.kill(pid, signal.SIGSTOP)
    last.leave()

    newcomer = place.user().acquire()
    os.kill(pid, signal.SIGCONT)

    newcomer.acquire()
    assert place.run_id() == run_id
    newcomer.leave()


def waits_for(pid: int, path: Path) -> bool:
    """Whether the kernel has process ``pid`` waiting for a lock on ``path``."""
    locks = Path("/proc/locks").read_text().splitlines()
    inode = path.stat().st_ino
    return any("->" in line and f" {pid} " in line and f":{inode} " in line for line in locks)


def test_a_new_user_that_takes_a_lease_while_the_end_begins_keeps_the_server(place: Place) -> None:
    last = place.user().acquire()
    run_id = place.run_id()
    [pid] = place.supervisors()
    start = supervisor.lock(place.directory / supervisor.START, fcntl.LOCK_EX)
    assert start is not None
    last.kill()
    wait_until(lambda: waits_for(pid, place.directory / supervisor.START))

    lease = supervisor.lock(place.directory / supervisor.LEASE, fcntl.LOCK_SH)
    assert lease is not None
    os.close(start)

    wait_until(lambda: waits_for(pid, place.directory / supervisor.LEASE))
    assert place.run_id() == run_id
    os.close(lease)


def test_a_new_user_after_the_end_was_decided_gets_a_new_server(place: Place) -> None:
    last = place.user().acquire()
    run_id = place.run_id()
    [pid] = place.supervisors()
    start = supervisor.lock(place.directory / supervisor.START, fcntl.LOCK_EX)
    assert start is not None
    last.kill()
    wait_until(lambda: waits_for(pid, place.directory / supervisor.START))
    newcomer = place.user()
    newcomer.tell("acquire")

    os.close(start)  # the kernel gives it to the supervisor, which has waited

    assert newcomer.hear()
    assert place.run_id() != run_id
    newcomer.leave()


def test_servers_that_end_and_start_all_the_time_fail_no_user(place: Place) -> None:
    churning = [start("starts_and_ends_the_embedded_server", place.directory) for _ in range(4)]

    for process in churning:
        process.communicate()
    assert [process.returncode for process in churning] == [0, 0, 0, 0]


def test_a_killed_server_is_restarted_without_a_request(place: Place) -> None:
    user = place.user().acquire()
    run_id = place.run_id()

    place.kill(place.servers())

    wait_until(lambda: supervisor.answers(place.directory / "valkey.sock"))
    assert place.run_id() != run_id
    user.leave()


def test_a_killed_supervisor_ends_its_server_and_any_user_can_restart_both(
    place: Place,
) -> None:
    user, other = place.user().acquire(), place.user().acquire()
    place.kill(place.supervisors())
    wait_until(lambda: not place.servers())
    assert (place.directory / "valkey.sock").exists()

    user.acquire()

    assert place.run_id()
    user.leave()
    assert place.servers(), "the other user's lease counts for the new server"
    other.leave()


def test_the_socket_of_a_killed_server_and_supervisor_is_replaced(place: Place) -> None:
    user = place.user().acquire()
    place.kill(place.supervisors() + place.servers())
    user.kill()
    assert (place.directory / "valkey.sock").exists()

    newcomer = place.user().acquire()

    assert place.run_id()
    newcomer.leave()


def test_the_last_user_removes_the_files_of_a_killed_supervisor(place: Place) -> None:
    first, last = place.user().acquire(), place.user().acquire()
    place.kill(place.supervisors() + place.servers())

    first.release()
    assert place.directory.exists()
    last.release()

    assert not place.directory.exists()


def test_a_signal_to_the_process_group_ends_the_supervisor_last(place: Place) -> None:
    user = place.user().acquire()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(place.supervisors()[0], number)

    user.acquire()

    assert len(place.supervisors()) == 1
    user.leave()


def test_a_forked_child_shares_its_parents_lease(place: Place) -> None:
    parent = start("forks_with_a_lease", place.directory)
    assert parent.stdin is not None
    assert parent.stdout is not None
    assert parent.stdout.readline()
    parent.wait()

    place.user().acquire().leave()
    assert place.run_id()

    parent.stdin.close()
    parent.stdout.close()
    wait_until(place.is_clean)


def test_programs_started_by_a_user_do_not_share_its_lease(place: Place) -> None:
    server = EmbeddedServer(place.directory)
    server.acquire()
    with subprocess.Popen(["sleep", "60"], close_fds=False) as program:  # noqa: S607
        server.release()

        wait_until(place.is_clean)

        program.kill()


def test_two_users_in_one_process_have_a_lease_each(place: Place) -> None:
    one, other = EmbeddedServer(place.directory), EmbeddedServer(place.directory)
    one.acquire()
    other.acquire()

    one.release()
    one.release()
    place.user().acquire().leave()

    assert supervisor.answers(other.socket_path)
    other.release()


def test_a_directory_that_was_there_stays_with_what_else_is_in_it(place: Place) -> None:
    place.directory.mkdir(mode=0o700)
    (place.directory / "notes.txt").write_text("mine")

    place.user().acquire().leave()
    wait_until(lambda: not place.supervisors())

    assert [path.name for path in place.directory.iterdir()] == ["notes.txt"]
    shutil.rmtree(place.directory)


def test_no_other_user_can_reach_the_server(place: Place) -> None:
    user = place.user().acquire()

    assert place.directory.stat().st_mode & 0o777 == 0o700
    assert (place.directory / "valkey.sock").stat().st_mode & 0o777 == 0o700
    with contextlib.closing(place.client()) as client:
        assert client.config_get("port")["port"] == "0"
    user.leave()
