"""A proxy that speaks TLS in front of a plain server, as the TLS port of a Redis would.

It uses blocking sockets: OpenSSL then sends its alerts by itself, which asyncio does not.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

_LOOK = 0.05
"""Seconds between two looks whether the proxy has ended."""


class TLSProxy:
    """Listens on a port of its own while its ``with`` block runs."""

    def __init__(self, server: str | Path, context: ssl.SSLContext) -> None:
        self._server = str(server)
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(_LOOK)
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def address(self) -> str:
        """Its ``host:port``."""
        return f"127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(2)
        with (
            contextlib.suppress(OSError),
            client,
            socket.socket(socket.AF_UNIX) as server,
            self._context.wrap_socket(client, server_side=True) as secured,
        ):
            server.connect(self._server)
            self._forward(secured, server)

    def _forward(self, client: ssl.SSLSocket, server: socket.socket) -> None:
        while not self._ended.is_set():
            ready, _, _ = select.select((client, server), (), (), _LOOK)
            for one, other in ((client, server), (server, client)):
                if one in ready:
                    data = one.recv(2**16)
                    if not data:
                        return
                    other.sendall(data)
                    while one is client and client.pending():
                        other.sendall(client.recv(2**16))
