"""A real server of a test's own, which it may kill, stop and start again on the same socket."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

from ciris_registry.store.connection.embedded_supervisor import answers
from tests.servers.single import server_program
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


class Server:
    """One server in one directory."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "valkey.sock"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, saving: bool = False) -> None:
        """Start it: empty, or with all that it has saved before."""
        saves = ["--appendonly", "yes", "--appendfsync", "always"] if saving else []
        options = ["--port", "0", "--unixsocket", str(self.socket), "--save", "", "--loglevel"]
        self._process = subprocess.Popen(
            [server_program(), *options, "warning", *saves],
            stdout=subprocess.DEVNULL,
            cwd=self.socket.parent,
        )
        wait_until(lambda: answers(self.socket))

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Let it hang: it accepts connections and commands, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
