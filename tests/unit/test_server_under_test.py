"""Test processes that share a server of the user's have a database each."""

from __future__ import annotations

import pytest

from tests.server_under_test import VARIABLE, UnusableServerError, check, database_of, own_url


@pytest.mark.parametrize(
    ("url", "of_the_third"),
    [
        ("redis://db", "redis://db?db=2"),
        ("redis://:p%40w@db:7/3", "redis://:p%40w@db:7?db=5"),
        ("rediss://db/3?db=1&ssl_cert_reqs=none", "rediss://db?db=3&ssl_cert_reqs=none"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=2"),
        ("unix://me:pw@/run/redis.sock?db=4", "unix://me:pw@/run/redis.sock?db=6"),
    ],
)
def test_each_process_has_the_next_database(
    url: str, of_the_third: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, url)
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw2")
    assert own_url() == of_the_third
    monkeypatch.delenv("PYTEST_XDIST_WORKER")
    assert database_of(own_url()) == database_of(of_the_third) - 2


def test_a_server_with_too_few_databases_is_refused_before_any_test(
    private_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, f"{private_server}?db=3")
    check(2)
    with pytest.raises(UnusableServerError, match=r"each of 200 test processes .* number 202"):
        check(200)


def test_a_server_that_does_not_answer_is_refused_before_any_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "redis://127.0.0.1:1")
    with pytest.raises(UnusableServerError, match="cannot be used"):
        check(1)
