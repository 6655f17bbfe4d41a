"""Secrets are masked in what is logged and shown of an error; other text stays as it is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ciris_registry.masking import mask_secrets
from ciris_registry.shared_breaker import in_words

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2VjcmV0LXNpZ25hdHVyZQ"
MASKED = [
    ("for url 'https://g.example/m:generate?key=AIzaSyABC'", "?key=***'"),
    ("GET /x?a=1&api_key=abc&b=2 failed", "GET /x?a=1&api_key=***&b=2 failed"),
    ("/x?access_token=abc#top", "/x?access_token=***#top"),
    ("https://blob.example/y?sv=1&sig=abc%2Fdef%3D&se=2", "?sv=1&sig=***&se=2"),
    ("/y?X-Amz-Credential=A/b&X-Amz-Signature=c0", "/y?X-Amz-Credential=***&X-Amz-Signature=***"),
    ("/proxy?to=https%3A%2F%2Fx%2F%3Fkey%3Dabcd", "%3Fkey%3D***"),
    ("redis://:hunter2@redis:6379/0", "redis://***@redis:6379/0"),
    ("postgresql://me:p@ss@db/x", "postgresql://***@db/x"),
    ("https://token@github.example/x.git", "https://***@github.example/x.git"),
    ("Authorization: Bearer abc.def", "Authorization: ***"),
    ("Authorization: Basic dXNlcjpwYXNz", "Authorization: ***"),
    ("{'Authorization': 'Bearer abc', 'Accept': '*/*'}", "{'Authorization': '***', 'Accept'"),
    ("(b'authorization', b'Bearer abc')", "(b'authorization', b'***')"),
    ("sent bearer abcdefgh.ijk", "sent bearer ***"),
    ("x-api-key: abc, accept: */*", "x-api-key: ***, accept: */*"),
    ("headers={'x-goog-api-key': 'abc'}", "{'x-goog-api-key': '***'}"),
    ("Cookie: session=abc; other=def", "Cookie: ***"),
    ('{"password": "correct horse battery"}', '{"password": "***"}'),
    ("{\\'password\\': \\'abc\\'}", "{\\'password\\': \\'***\\'}"),
    ("client_secret=abc&x=1", "client_secret=***&x=1"),
    ("accessToken=abc apiKey=def", "accessToken=*** apiKey=***"),
    ("message='failed: token=abc'", "message='failed: token=***'"),
    ("Incorrect API key provided: sk-proj-ab12cd34.", "provided: ***"),
    ("Incorrect API key provided: sk-ab*******wxyz", "provided: ***"),
    ("key AIzaSyD-abcdefghijk not valid", "key *** not valid"),
    ("remote: ghp_abcdefghijklmnop", "remote: ***"),
    ("github_pat_11ABCDE_abc", "***"),
    ("slack xoxb-123-456-abc", "slack ***"),
    ("user AKIAIOSFODNN7EXAMPLE", "user ***"),
    (f"jwt {JWT} expired", "jwt *** expired"),
    ("https://api.telegram.org/bot123456789:" + "A" * 35 + "/send", "bot123456789:***/send"),
]
KEPT = [
    "",
    "max_tokens=4096, monkey=1, key_id=7, tokens: 12",
    "KeyError('token')",
    "Unexpected token: } at 7",
    "KeyError('api key')",
    "https://example.org/a@b?page=2",
    "risk-free skeleton task-12345678",
    "['key', 'value']",
    "HTTP 429: Rate limit reached for gpt-4o in organization org-abc",
]


@pytest.mark.parametrize(("text", "shown"), MASKED)
def test_a_secret_is_masked_and_the_text_around_it_is_kept(text: str, shown: str) -> None:
    assert shown in mask_secrets(text)
    assert mask_secrets(mask_secrets(text)) == mask_secrets(text)


@pytest.mark.parametrize("text", KEPT)
def test_text_without_a_secret_is_kept(text: str) -> None:
    assert mask_secrets(text) == text


def test_the_text_is_cut_after_masking() -> None:
    text = "https://x.example/?key=" + "s" * 300 + "&page=2 " + "x" * 300
    assert mask_secrets(text).startswith("https://x.example/?key=***&page=2 xxx")
    assert len(mask_secrets(text)) == 200
    assert mask_secrets(text, 10) == "https://x."


def test_a_secret_that_lies_on_the_cut_is_not_shown() -> None:
    for before in range(180, 200):
        shown = mask_secrets("x" * before + " api_key=SECRETSECRETSECRET")
        assert "SEC" not in shown
    for before in range(3_970, 4_000):
        assert "SEC" not in mask_secrets("?key=" + "x" * before + " eyJSECRETSECRET", 10_000)


HARD = [
    "a",
    "a-",
    "a.",
    "api_key=b ",
    "\\'",
    "://",
    "key ",
    "bot",
    "sk-",
    "eyJa.",
    "Bearer ",
    "=",
    "%3D",
]


@pytest.mark.parametrize("part", HARD)
def test_a_text_of_a_megabyte_takes_milliseconds(part: str) -> None:
    text = part * (1_000_000 // len(part))
    began = time.perf_counter()
    mask_secrets(text)
    assert time.perf_counter() - began < 0.5


@given(st.text() | st.from_regex(r"(key|token|://|@|=|:|'|\"|\\|Bearer | |sk-|eyJ){0,40}"))
def test_no_text_raises_and_none_is_longer_than_the_cut(text: str) -> None:
    assert len(mask_secrets(text)) <= 200


def test_an_error_in_words_has_no_secret() -> None:
    assert in_words(ValueError("?key=abc")) == "ValueError('?key=***')"
    assert len(in_words(ValueError("x" * 500))) == 200
