"""``docker-compose.yml`` starts the servers that the tests start, with the same options.

Docker itself is not needed: the structure is read, and each server's command runs as a process.
"""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
import yaml

from tests.documentation import ROOT
from tests.servers.cluster import Cluster
from tests.servers.sentinel import _SENTINEL, NAME, Sentinels
from tests.servers.single import EMPTY, Server

COMPOSE: Final[dict[str, Any]] = yaml.safe_load(
    (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
)
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
FIELDS: Final = {
    "command",
    "depends_on",
    "healthcheck",
    "image",
    "init",
    "network_mode",
    "ports",
    "profiles",
}
OF_COMPOSE: Final = {"--port", "--protected-mode", "--replicaof"}
"""Options that only the file has: containers share a network, and programs come from outside."""


def options(name: str) -> dict[str, str]:
    """The options with which a service starts its server, without those of the file alone."""
    given = pairs(SERVICES[name]["command"][1:])
    return {one: value for one, value in given.items() if one not in OF_COMPOSE}


def pairs(words: Any) -> dict[str, str]:
    """``--option value …`` as a dict; a later one replaces an earlier one, as in the server."""
    return dict(zip(words[::2], words[1::2], strict=True))


def members(profile: str, prefix: str = "") -> list[str]:
    found = [name for name, one in SERVICES.items() if profile in one.get("profiles", ())]
    return [one for one in found if one.startswith(prefix)]


def test_each_service_has_only_fields_that_compose_knows_and_an_image() -> None:
    for name, service in SERVICES.items():
        assert service.keys() <= FIELDS, name
        assert service["image"].startswith("valkey/valkey:"), name
        for needed in service.get("depends_on", ()):
            assert needed in SERVICES, name
            assert set(service["profiles"]) <= set(SERVICES[needed]["profiles"]), name


def test_one_server_starts_without_a_profile_and_the_profiles_are_sentinel_and_cluster() -> None:
    assert [name for name, one in SERVICES.items() if "profiles" not in one] == ["valkey"]
    assert {profile for one in SERVICES.values() for profile in one.get("profiles", ())} == {
        "cluster",
        "sentinel",
    }
    assert len(members("sentinel", "sentinel-")) == 3 + 1  # and their network
    assert len(members("cluster", "node-")) == 6


@pytest.mark.parametrize("profile", ["cluster", "sentinel"])
def test_the_servers_of_a_profile_share_the_network_that_publishes_their_ports(
    profile: str,
) -> None:
    network = f"{profile}-network"
    for name in members(profile):
        shares = SERVICES[name].get("network_mode") == f"service:{network}"
        assert shares or name == network
        assert not (shares and "ports" in SERVICES[name])
    published = set[int]()
    for one in SERVICES[network]["ports"]:
        match = re.fullmatch(r"127\.0\.0\.1:(\d+)-(\d+):\1-\2", one)
        assert match
        published |= set(range(int(match[1]), int(match[2]) + 1))
    assert published == {port for name in members(profile) for port in ports_of(name)}


def ports_of(name: str) -> set[int]:
    """The port on which the server of a service listens; none for others."""
    text = " ".join(SERVICES[name].get("command", ()))
    return {int(one) for one in re.findall(r"--port (\d+)", text)}


def test_the_options_are_those_of_the_servers_in_the_tests() -> None:
    keeps_nothing = pairs(EMPTY)
    assert options("valkey") == keeps_nothing
    group = Sentinels()
    replicated = keeps_nothing | pairs(group.servers[0].options)
    for server in group.servers:
        server.remove()
    assert options("master") == options("replica") == replicated
    cluster = Cluster("--cluster-require-full-coverage", "no")
    for name in members("cluster", "node-"):
        assert options(name) == keeps_nothing | pairs(cluster._options)


def test_the_sentinels_are_configured_as_in_the_tests() -> None:
    lines = _SENTINEL.format(name=NAME, host="127.0.0.1", port=6381, quorum=2, down_after=1_000)
    for name in members("sentinel", "sentinel-"):
        if name != "sentinel-network":
            assert f"echo '{lines.strip()}' > " in SERVICES[name]["command"][2]


@pytest.mark.parametrize("name", [one for one in SERVICES if one.startswith(("node", "ma", "va"))])
def test_each_command_starts_a_server(name: str) -> None:
    given = pairs(SERVICES[name]["command"][1:])
    given.pop("--port", None)
    with Server(*(word for pair in given.items() for word in pair)) as server:
        mode = "cluster" if name.startswith("node") else "standalone"
        said = server.info("server")
        assert mode in {said.get("redis_mode"), said.get("server_mode")}


def test_the_urls_in_the_comments_name_the_published_ports() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for profile in ("sentinel", "cluster"):
        (url,) = re.findall(rf"redis\+{profile}://(\S+)", text)
        named = {int(port) for port in re.findall(r":(\d+)", url)}
        assert named <= {port for name in members(profile) for port in ports_of(name)}
