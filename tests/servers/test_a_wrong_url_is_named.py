"""A URL that does not fit the server is named in ``health()``, with what to write instead."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Final

import pytest
import trustme

from ciris_registry import RegistrySettings, ServiceRegistry
from tests.servers import Cluster, Server
from tests.tls_proxy import TLSProxy
from tests.waiting import async_wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS: Final = RegistrySettings(store_timeout=2.0, write_timeout=0.01)
PAST: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)

ELSEWHERE: Final = "g"
"""A namespace whose slot, 15,984, the second of two nodes has."""

HINTS: Final = {
    "redis://{tls}": "if this port speaks TLS, use rediss://",
    "redis+cluster://{tls}": "if this port speaks TLS, use rediss+cluster://",
    "redis+sentinel://{tls}/mymaster": "if this port speaks TLS, use rediss+sentinel://",
    "rediss://{plain}": "if this port does not speak TLS, use redis://",
    "rediss://{tls}": "name the CA's file with ?ssl_ca_certs=",
    "rediss://{tls}?ssl_ca_certs={folder}/other.pem": "name the CA's file",
    "rediss://{tls}?ssl_ca_certs={folder}/absent.pem": "there is no file {folder}/absent.pem",
    "rediss://{tls}?ssl_ca_certs={folder}/empty.pem": "the file of ?ssl_ca_certs= has no cert",
    "rediss://{tls}?ssl_ca_certs={folder}/ca.pem&ssl_certfile={folder}/mine.pem"
    "&ssl_keyfile={folder}/mine.key": "there is no file {folder}/mine.pem",
    "rediss://{other_name}?ssl_ca_certs={folder}/ca.pem": "the server's certificate is for another",
    "rediss://{expired}?ssl_ca_certs={folder}/ca.pem": "renew the server's certificate",
    "rediss://{wants_certificate}?ssl_ca_certs={folder}/ca.pem": "give ?ssl_certfile= and",
    "redis://{node}": "this is one node of a cluster: use redis+cluster://",
    "redis://{web}": "this port speaks HTTP, not the protocol of Redis",
    "redis+cluster://{plain}": "is no node of a cluster: use redis:// or rediss://",
}
WORKS: Final = {
    "rediss://{tls}?ssl_ca_certs={folder}/ca.pem",
    "rediss://{other_name}?ssl_ca_certs={folder}/ca.pem&ssl_check_hostname=false",
    "rediss://{expired}?ssl_cert_reqs=none",
    "redis://{plain}",
}


class Web(BaseHTTPRequestHandler):
    """A web server, which answers what it does not understand."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # its own name
        """Log nothing."""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of servers of all kinds, and a folder of certificates."""
    folder, ca = tmp_path_factory.mktemp("certificates"), trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other.pem"))
    (folder / "empty.pem").write_text("no certificate\n", encoding="utf-8")
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(Server("--unixsocket", str(socket_in(folder))))
        node = stack.enter_context(Cluster(masters=2)).nodes[0]
        kinds = {
            "tls": context(ca.issue_cert("127.0.0.1")),
            "other_name": context(ca.issue_cert("redis.internal")),
            "expired": context(ca.issue_cert("127.0.0.1", not_before=PAST, not_after=PAST)),
            "wants_certificate": context(ca.issue_cert("127.0.0.1"), ca),
        }
        found = {
            name: stack.enter_context(TLSProxy(socket_in(folder), one)).address
            for name, one in kinds.items()
        }
        web = HTTPServer(("127.0.0.1", 0), Web)
        stack.callback(web.server_close)
        stack.callback(web.shutdown)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        found["web"] = f"127.0.0.1:{web.server_port}"
        yield {**found, "plain": plain.address, "node": node.address, "folder": str(folder)}


def socket_in(folder: Path) -> Path:
    return folder / "redis.sock"


def context(certificate: trustme.LeafCert, asks: trustme.CA | None = None) -> ssl.SSLContext:
    """What a server presents; with ``asks``, it wants a client certificate of this CA."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(found)
    if asks is not None:
        found.verify_mode = ssl.CERT_REQUIRED
        asks.configure_trust(found)
    return found


async def said(url: str) -> str:
    """The error in ``health()`` of a registry that starts and calls; empty if it is connected."""

    async def ask(instance: object) -> object:
        return instance

    async with ServiceRegistry(url=url, settings=SETTINGS, namespace=ELSEWHERE) as registry:
        registry.register_global("llm", object(), name="one")
        assert await registry.call("h", "llm", ask) is not None
        with contextlib.suppress(AssertionError):
            await async_wait_until(lambda: registry.health().error, timeout=0.2)
        return registry.health().error


@pytest.mark.parametrize("template", HINTS)
async def test_a_wrong_url_is_named_with_what_to_write_instead(
    places: dict[str, str], template: str
) -> None:
    """Half of these named the CA's file, or nothing to do."""
    hint = re.escape(HINTS[template].format(**places))
    assert re.search(hint, await said(template.format(**places)))


@pytest.mark.long_run
@pytest.mark.parametrize("template", sorted(WORKS))
async def test_the_url_that_a_hint_asks_for_works(places: dict[str, str], template: str) -> None:
    assert await said(template.format(**places)) == ""
