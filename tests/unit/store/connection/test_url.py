from __future__ import annotations

import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ciris_registry.errors import InvalidURLError, RegistryError
from ciris_registry.store.connection.routing import Address
from ciris_registry.store.connection.url import StoreURL


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("memory://", StoreURL("memory")),
        ("memory://fleet-1", StoreURL("memory", name="fleet-1")),
        ("embedded://", StoreURL("embedded")),
        ("embedded:///var/tmp/fleet", StoreURL("embedded", path=Path("/var/tmp/fleet"))),  # noqa: S108
        ("embedded:///srv/my%20fleet", StoreURL("embedded", path=Path("/srv/my fleet"))),
        ("redis://db", StoreURL("redis", host="db")),
        ("redis://db/", StoreURL("redis", host="db")),
        ("  REDIS://db:6380/2\n", StoreURL("redis", host="db", port=6380, db=2)),
        ("redis://db?db=2", StoreURL("redis", host="db", db=2)),
        ("redis://[::1]:6380", StoreURL("redis", host="::1", port=6380)),
        ("redis://[::1]", StoreURL("redis", host="::1")),
        ("redis://:pw@db", StoreURL("redis", host="db", password="pw")),
        ("redis://me:pw@db", StoreURL("redis", host="db", username="me", password="pw")),
        ("redis://me@db", StoreURL("redis", host="db", username="me")),
        ("redis://:@db", StoreURL("redis", host="db")),
        (
            "redis://me:p%40%2F%3A%25@db",
            StoreURL("redis", host="db", username="me", password="p@/:%"),
        ),
        ("redis://me:p@s:s@db", StoreURL("redis", host="db", username="me", password="p@s:s")),
        (
            "redis://db?username=me&password=p%26+w",
            StoreURL("redis", host="db", username="me", password="p& w"),
        ),
        ("rediss://db:1/3", StoreURL("rediss", host="db", port=1, db=3)),
        (
            "rediss://db?ssl_cert_reqs=none&ssl_ca_certs=/etc/ca.pem",
            StoreURL(
                "rediss",
                host="db",
                tls=(("ssl_ca_certs", "/etc/ca.pem"), ("ssl_cert_reqs", "none")),
            ),
        ),
        ("unix:///run/redis.sock", StoreURL("unix", path=Path("/run/redis.sock"))),
        (
            "redis+cluster://me:pw@a,b:7000,a,[::1]",
            StoreURL(
                "redis+cluster",
                nodes=(Address("a", 6379), Address("b", 7000), Address("::1", 6379)),
                username="me",
                password="pw",
            ),
        ),
        ("redis+cluster://a/0", StoreURL("redis+cluster", nodes=(Address("a", 6379),))),
        (
            "rediss+cluster://a?ssl_ca_certs=/ca",
            StoreURL("rediss+cluster", nodes=(Address("a", 6379),), tls=(("ssl_ca_certs", "/ca"),)),
        ),
        (
            "redis+sentinel://a,b:1/my-master",
            StoreURL(
                "redis+sentinel",
                nodes=(Address("a", 26_379), Address("b", 1)),
                master="my-master",
            ),
        ),
        (
            "rediss+sentinel://me:pw@a/m/2?sentinel_username=s&sentinel_password=p%26&ssl_keyfile=/k",
            StoreURL(
                "rediss+sentinel",
                nodes=(Address("a", 26_379),),
                master="m",
                db=2,
                username="me",
                password="pw",
                sentinel_username="s",
                sentinel_password="p&",
                tls=(("ssl_keyfile", "/k"),),
            ),
        ),
        (
            "unix://me:pw@/run/redis.sock?db=4",
            StoreURL("unix", path=Path("/run/redis.sock"), db=4, username="me", password="pw"),
        ),
    ],
)
def test_each_form_of_url_says_where_the_state_lives(url: str, expected: StoreURL) -> None:
    assert StoreURL.parse(url) == expected


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("", "the URL of the shared state is empty"),
        ("   ", "is empty"),
        ("localhost:6379", "has no scheme"),
        ("memory:", "has no scheme"),
        ("http://db", "scheme of the URL is not known"),
        ("redis+cluster://", "names no host"),
        ("redis+cluster://a,", "names no host"),
        ("redis+cluster://a:1,b:x", "port in the URL"),
        ("redis+cluster://a/3", "a cluster has no database but 0"),
        ("redis+cluster://a?db=1", "a cluster has no database but 0"),
        ("redis+cluster://a?ssl_cert_reqs=none", "needs a URL that begins with rediss://"),
        ("redis+cluster://a?sentinel_password=x", "known are db, password, username"),
        ("redis+sentinel://db", "names no master"),
        ("redis+sentinel://db/", "names no master"),
        ("redis+sentinel://db//0", "names no master"),
        ("redis+sentinel://db/my master", "names no master"),
        ("redis+sentinel://db/name/x", "db number"),
        ("redis+sentinel://db/name/1/2", "db number"),
        ("redis+sentinel://db/name/1?db=1", "twice"),
        ("redis+sentinel:///name", "names no host"),
        ("memory://a/b", "name in memory://name"),
        ("memory://a?db=1", "name in memory://name"),
        ("embedded://relative/dir", "absolute directory"),
        ("embedded:///dir?db=1", "absolute directory"),
        ("embedded:///", "names no absolute path"),
        ("embedded:///a%00b", "control character"),
        ("embedded:///a%ffb", "not UTF-8"),
        ("embedded:///" + "d" * 100, "choose a shorter directory"),
        ("unix:///" + "d" * 110, "choose a shorter directory"),
        ("unix://", "names no absolute path"),
        ("unix://run/redis.sock", "three slashes"),
        ("redis://", "names no host"),
        ("redis://:6379", "names no host"),
        ("redis:///0", "names no host"),
        ("redis://me:pw@", "names no host"),
        ("redis://d b", "not a name or an address"),
        ("redis://[::1", "not a name or an address"),
        ("redis://[::x]:1", "not a name or an address"),
        ("redis://[::1]6379", "not a name or an address"),
        ("redis://db:0", "port in the URL"),
        ("redis://db:65536", "port in the URL"),
        ("redis://db:six", "port in the URL"),
        ("redis://db:-1", "port in the URL"),
        ("redis://db:" + "9" * 5000, "port in the URL"),
        ("redis://db/one", "db number"),
        ("redis://db/-1", "db number"),
        ("redis://db/1.5", "db number"),
        ("redis://db/1/2", "db number"),
        ("redis://db/4294967296", "db number"),
        ("redis://db?db=x", "db number"),
        ("redis://db/1?db=2", "twice"),
        ("redis://db?db=1&db=2", "twice"),
        ("redis://db?socket_timeout=5", "known are db, password, username"),
        ("redis://db?ssl_cert_reqs=none", "ssl_cert_reqs needs a URL that begins with rediss://"),
        ("redis://db?timeout=1", "known are db, password, username"),
        ("rediss://db?ssl_cert_reqs=maybe", "none, optional, required"),
        ("redis://db#0", "contains a #"),
    ],
)
def test_a_url_that_cannot_be_used_gets_one_clear_error(url: str, advice: str) -> None:
    with pytest.raises(InvalidURLError, match=advice) as caught:
        StoreURL.parse(url)

    assert isinstance(caught.value, RegistryError)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value) == caught.value.reason
    assert "\n" not in caught.value.reason


def test_an_unknown_scheme_is_answered_with_those_that_exist() -> None:
    with pytest.raises(InvalidURLError) as caught:
        StoreURL.parse("reddis://db")

    for scheme in ("memory://", "embedded://", "redis://", "rediss://", "unix://"):
        assert scheme in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory://", "memory://"),
        ("memory://a", "memory://a"),
        ("embedded://", "embedded://"),
        ("embedded:///srv/my%20fleet", "embedded:///srv/my%20fleet"),
        ("redis://db", "redis://db:6379/0"),
        ("redis://me@db", "redis://***@db:6379/0"),
        ("redis://:pw@db:1/2", "redis://***:***@db:1/2"),
        ("redis://db?password=pw", "redis://***:***@db:6379/0"),
        ("rediss://[::1]/1?ssl_ca_certs=/ca", "rediss://[::1]:6379/1?ssl_ca_certs=/ca"),
        ("redis+cluster://:pw@a,b:1", "redis+cluster://***:***@a:6379,b:1"),
        (
            "rediss+sentinel://me:pw@[::1],b/m?sentinel_password=pw&ssl_ca_certs=/ca",
            "rediss+sentinel://***:***@[::1]:26379,b:26379/m/0?ssl_ca_certs=/ca",
        ),
        ("unix://me:pw@/run/r.sock?db=1", "unix://***:***@/run/r.sock?db=1"),
    ],
)
def test_a_store_url_shows_everything_but_user_and_password(url: str, shown: str) -> None:
    store_url = StoreURL.parse(url)

    assert store_url.redacted == str(store_url) == f"{store_url}" == shown
    assert repr(store_url) == f"StoreURL({shown!r})"


ODD = "@:/?#%&=[] \\\n+;,ü\ud800"
FORMS = (
    "redis://{user}:{password}@db/0",
    "rediss://{user}:{password}@db:6379/0",
    "redis://:{password}@[::1]:1",
    "redis://{user}:{password}@db:bad",
    "redis://{user}:{password}@db/bad",
    "redis://{user}:{password}@",
    "redis://{user}:{password}@db?unknown={password}",
    "redis://db?username={user}&password={password}",
    "redis://db/x?username={user}&password={password}",
    "unix://{user}:{password}@/run/redis.sock",
    "unix:///run/redis.sock?password={password}",
    "unix://:{password}@relative",
    "redis+cluster://{user}:{password}@db,db",
    "redis+cluster://db/{password}?username={user}&password={password}",
    "redis+sentinel://{user}:{password}@db/name/0",
    "redis+sentinel://db/name?sentinel_username={user}&sentinel_password={password}",
    "http://{user}:{password}@db",
    "memory://{user}:{password}@db",
    "embedded://{user}:{password}@/srv",
    "{user}:{password}@db",
)


def everything_said_about(url: str) -> str:
    """All that parsing ``url`` shows: the store URL, or the error with its causes."""
    error: BaseException | None = None
    try:
        store_url = StoreURL.parse(url)
    except InvalidURLError as caught:
        error = caught
    else:
        return f"{store_url} {store_url!r} {store_url.redacted}"
    assert error.__cause__ is None
    assert error.__context__ is None
    return "".join(traceback.format_exception(error)) + repr(error) + repr(error.__dict__)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encode", [str, lambda text: quote(text, safe="", errors="replace")])
def test_no_password_shows_however_odd_it_is(form: str, encode: type[str]) -> None:
    for odd in ODD:
        user = encode(f"USER{odd}USER")
        password = encode(f"SECRET{odd}12{odd}SECRET")

        said = everything_said_about(form.format(user=user, password=password))

        assert "USER" not in said
        assert "SECRET" not in said


@given(
    form=st.sampled_from(FORMS),
    pieces=st.lists(st.sampled_from([*ODD, "1", "x", "//", "://", "%4", "%40"]), max_size=6),
)
@example(form=FORMS[0], pieces=["1", "/", "1", "?", "1", "@", "1"])
def test_no_piece_of_a_password_shows(form: str, pieces: list[str]) -> None:
    password = "SECRET" + "SECRET".join(pieces)

    assert "SECRET" not in everything_said_about(form.format(user="USER", password=password))


@given(st.text(max_size=60), st.sampled_from(["", "redis", "rediss", "unix", "embedded", "memory"]))
def test_any_text_is_a_store_url_or_an_invalid_url_error(text: str, scheme: str) -> None:
    everything_said_about(f"{scheme}://{text}")
