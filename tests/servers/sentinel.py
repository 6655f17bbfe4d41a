"""A master and its replicas, watched by sentinels, which promote a replica of a dead master."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import redis

from tests.servers.ports import HOST
from tests.servers.single import Server
from tests.waiting import wait_until

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

NAME: Final = "mymaster"
"""What the sentinels call the master."""

_SENTINEL: Final = """\
sentinel monitor {name} {host} {port} {quorum}
sentinel down-after-milliseconds {name} {down_after}
sentinel failover-timeout {name} 10000
sentinel parallel-syncs {name} 1
"""


class Sentinels:
    """One master, ``replicas`` that follow it, and ``sentinels``, most of which must agree.

    ``servers`` are master and replicas as they were at the beginning, ``sentinels`` the sentinels.
    ``down_after`` is in milliseconds. ``options`` are given to master and replicas, ``lines`` are
    added to the configuration of each sentinel.
    """

    def __init__(
        self,
        *options: str,
        replicas: int = 1,
        sentinels: int = 3,
        down_after: int = 1_000,
        lines: str = "",
        binary: str | None = None,
    ) -> None:
        fast = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", *options)
        self.servers: Final = [Server(*fast, binary=binary) for _ in range(1 + replicas)]
        self.sentinels: Final[list[Server]] = []
        self._count = sentinels
        self._down_after = down_after
        self._lines = lines
        self._binary = binary

    @property
    def url(self) -> str:
        """The URL that names all sentinels."""
        return f"redis+sentinel://{','.join(one.address for one in self.sentinels)}/{NAME}"

    @property
    def master(self) -> Server:
        """The master that most of the living sentinels name."""
        named = [self.named_by(one) for one in self.sentinels if one.running]
        return max(named, key=named.count)

    def named_by(self, sentinel: Server) -> Server:
        """The master that one sentinel names."""
        _, port = sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        return next(one for one in self.servers if one.port == int(port))

    def __enter__(self) -> Self:
        try:
            self._create()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()

    def wait_for_failover(self, dead: Server) -> Server:
        """Wait until all living sentinels name another master, which takes writes."""
        living = [one for one in self.sentinels if one.running]
        wait_until(lambda: all(self.named_by(one) is not dead for one in living))
        wait_until(lambda: role_of(self.master) == "master")
        return self.master

    def wait_until_demoted(self, server: Server) -> None:
        """Wait until an old master that came back follows the new one; it takes about 10 s."""
        wait_until(lambda: role_of(server) == "slave" and _follows(server), timeout=60)

    def wait_until_well(self) -> None:
        """Wait until each living sentinel knows the others and all replicas."""
        living = [one for one in self.sentinels if one.running]
        wait_until(lambda: all(self._knows_all(one, len(living) - 1) for one in living))

    def _knows_all(self, sentinel: Server, others: int) -> bool:
        with contextlib.suppress(redis.ResponseError):  # it has not met the master yet
            facts = sentinel.ask("SENTINEL", "MASTER", NAME)
            known = dict(zip(facts[::2], facts[1::2], strict=True))
            return (
                int(known["num-other-sentinels"]) >= others
                and int(known["num-slaves"]) >= len(self.servers) - 1
                and known["flags"] == "master"
            )
        return False

    def _create(self) -> None:
        for server in self.servers:
            server.start()
        master, *replicas = self.servers
        for replica in replicas:
            replica.ask("REPLICAOF", HOST, master.port)
        wait_until(lambda: all(_follows(one) for one in replicas))
        config = _SENTINEL.format(
            name=NAME,
            host=HOST,
            port=master.port,
            quorum=self._count // 2 + 1,
            down_after=self._down_after,
        )
        for _ in range(self._count):
            sentinel = Server("--sentinel", config=config + self._lines, binary=self._binary)
            self.sentinels.append(sentinel)
            sentinel.start()
        self.wait_until_well()

    def _remove(self) -> None:
        for server in (*self.sentinels, *self.servers):
            server.remove()


def role_of(server: Server) -> str:
    """``master`` or ``slave``, as the server says itself; empty if it does not answer."""
    with contextlib.suppress(redis.RedisError, OSError):
        return str(server.ask("ROLE")[0])
    return ""


def _follows(server: Server) -> bool:
    """Whether a replica has the data of its master and follows it."""
    return server.info("replication").get("master_link_status") == "up"
