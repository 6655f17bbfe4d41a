"""Masking secrets in a text before it is logged, shown or sent: keys, tokens and passwords.

The texts of errors carry URLs, headers and bodies of requests. What is masked: user and password of
a URL, values of query strings, fields and headers with a secret's name, credentials of an
``Authorization`` header, and words that have the form of a known kind of key.
"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"

_LONGEST: Final = 200
# Beyond this, nothing of a text can be shown: patterns need not look at a body of megabytes.
_LONGEST_READ: Final = 4_000

# scheme://user:password@host
_USERINFO: Final = re.compile(r"(?<=://)[^\s/\"'<>?#]+@")
# A name and what separates it from its value. Possessive quantifiers keep the search linear.
_NAME: Final = re.compile(
    r"((?<![\w.-])|%[0-9A-F]{2})([\w.-]++)"
    r"((?:\\?[\"'])?\s*+(?:=>?|%3D|:|,)\s*+(?:b?\\?[\"'])?)",
    re.IGNORECASE,
)
_QUOTED: Final = re.compile(r"[^\"'\\\r\n]+")
_WORD: Final = re.compile(
    r"(?:(?:bearer|basic|digest|negotiate|token|apikey)\s++)?[^\s&\"'\\<>#,;(){}\[\]|]+",
    re.IGNORECASE,
)
_SCHEME: Final = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=*-]{6,}", re.IGNORECASE)
# The last word of a secret's name: the ``max_tokens`` of a request is none.
_SECRET_WORDS: Final = frozenset(
    {"apikey", "auth", "authorization", "credential", "credentials", "jwt", "key", "pass"}
    | {"passphrase", "passwd", "password", "pwd", "secret", "sig", "signature", "token"}
)
# In one word, as ``accessToken`` is; ``key`` alone ends other words too.
_SECRET_ENDS: Final = (
    "accesskey",
    "accountkey",
    "apikey",
    "authkey",
    "password",
    "privatekey",
    "secret",
    "secretkey",
    "signature",
    "subscriptionkey",
    "token",
)
# Text before a colon without quotes is a header only under these names: "invalid token: x" is none.
_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "password"})
# How keys begin: of OpenAI, Anthropic and Stripe, Google, GitHub, GitLab, Slack, AWS, Groq, Hugging
# Face, Replicate, NVIDIA, Perplexity, xAI; a JSON Web Token.
_BEGINNINGS: Final = (
    *("sk-", "sk_", "pk_", "rk_", "AIza", "ya29.", "GOCSPX-", "ghp_", "gho_", "ghu_", "ghs_"),
    *("ghr_", "github_pat_", "glpat-", "xox", "xapp-", "AKIA", "ASIA", "gsk_", "hf_", "r8_"),
    *("nvapi-", "pplx-", "xai-", "eyJ"),
)
_KEY: Final = re.compile(
    rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, _BEGINNINGS))})[A-Za-z0-9*_.-]{{6,}}"
)
_COOKIES: Final = re.compile(r"(\bcookie(?:\\?[\"'])?\s*[:=]\s*)[^\"'\r\n]+", re.IGNORECASE)
# The token in the path of Telegram's URLs.
_BOT: Final = re.compile(r"(\b(?:bot)?[0-9]{6,20}:)[A-Za-z0-9_-]{30,}")


def mask_secrets(text: str, longest: int = _LONGEST) -> str:
    """The text with ``***`` in place of its secrets, cut to ``longest`` characters after that."""
    if len(text) > _LONGEST_READ:
        # A word that is cut may be a secret that has lost its form.
        text = text[:_LONGEST_READ].rsplit(None, 1)[0]
    if "://" in text and "@" in text:
        text = _USERINFO.sub(f"{MASK}@", text)
    if any(beginning in text for beginning in _BEGINNINGS):
        text = _KEY.sub(MASK, text)
    if "ookie" in text:
        text = _COOKIES.sub(rf"\1{MASK}", text)
    text = _BOT.sub(rf"\1{MASK}", text) if ":" in text else text
    return _SCHEME.sub(rf"\1 {MASK}", _without_fields(text))[:longest]


def _without_fields(text: str) -> str:
    parts: list[str] = []
    end = 0
    for field in _NAME.finditer(text):
        separator = field[3]
        if field.start() < end or not _is_secret(field[2].lower(), separator):
            continue
        quoted = separator.endswith(("'", '"'))
        value = (_QUOTED if quoted else _WORD).match(text, field.end())
        if value is not None:
            parts += text[end : field.end()], MASK
            end = value.end()
    return "".join((*parts, text[end:]))


def _is_secret(name: str, separator: str) -> bool:
    if not name.endswith(_SECRET_ENDS):
        last = name.replace("_", "-").replace(".", "-").rsplit("-", 1)[-1]
        if last not in _SECRET_WORDS:
            return False
    if "," in separator:  # a pair of header and value; a list may have the word "key" too
        return name in _HEADERS or "-" in name
    if "=" in separator or "%" in separator or '"' in separator or "'" in separator:
        return True
    return name in _HEADERS or name.startswith("x-") or "api" in name
