"""The table of what providers answer, and errors that have each answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import yaml

FILE: Final = Path(__file__).with_suffix(".yaml")

_HTTP_OF_AWS: Final = "ResponseMetadata"


@dataclass(frozen=True, slots=True)
class Row:
    """One answer of a provider, and its classification.

    ``client`` names the client whose error has it. ``grpc`` and ``aws`` are its status and its code
    there, ``text`` the message where there is no body.
    """

    provider: str
    client: str
    source: str
    kind: str
    seconds: float = 0.0
    code: str = ""
    scope: str = "provider"
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    grpc: str = ""
    aws: str = ""
    text: str = ""
    retry_after: float | None = None
    retry_delay: float | None = None

    @property
    def message(self) -> str:
        """The first words that the answer has."""
        return self.text or _message(self.body) or (self.body if isinstance(self.body, str) else "")

    def __str__(self) -> str:
        told = self.grpc or self.aws or self.status
        return f"{self.provider} {told} {self.message[:40]}".strip()


_NAMES: Final = {"as": "client", "is": "kind", "for": "seconds"}


def read_table() -> tuple[list[Row], dict[str, str]]:
    """The rows, and the address of each source."""
    table = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    sources = table["sources"]
    rows = [
        Row(**{_NAMES.get(name, name): value for name, value in one.items()})
        for one in table["rows"]
    ]
    for row in rows:
        assert row.source in sources, row
    return rows, sources


def _message(body: Any) -> str:
    if isinstance(body, list):
        return _message(body[0])
    if not isinstance(body, dict):
        return ""
    inner: Any = body.get("error", body.get("detail", body))
    if isinstance(inner, str):
        return inner
    if isinstance(inner, list):
        return str(inner[0].get("msg", ""))
    return str(inner.get("message", inner.get("description", "")))


ROWS, SOURCES = read_table()


# Errors that have what the clients document, without the clients.


class PlainError(Exception):
    """An error with the attributes that it is given."""

    def __init__(self, text: str = "", **attributes: Any) -> None:
        super().__init__(text)
        vars(self).update(attributes)


class _GrpcError(Exception):
    """As ``grpc.aio.AioRpcError``."""

    def __init__(self, row: Row) -> None:
        super().__init__(row.text)
        self._row = row

    def code(self) -> Any:
        return SimpleNamespace(name=self._row.grpc, value=(0, ""))

    def details(self) -> str:
        return self._row.text

    def trailing_metadata(self) -> tuple[tuple[str, str], ...]:
        return tuple(self._row.headers.items())


_GrpcError.__module__ = "grpc.aio._call"


def documented_error(row: Row) -> Exception:
    """An error as the row's client documents it."""
    return _FORMS.get(row.client, _http)(row)


def _http(row: Row) -> Exception:
    return PlainError(row.message, status_code=row.status, headers=row.headers, body=row.body)


def _openai(row: Row) -> Exception:
    """As openai: the inner part of the body, and its codes as attributes."""
    inner = row.body.get("error", row.body) if isinstance(row.body, dict) else row.body
    codes = {name: inner.get(name) for name in ("code", "type")} if isinstance(inner, dict) else {}
    response = SimpleNamespace(
        status_code=row.status, headers=row.headers, is_closed=True, content=b""
    )
    return PlainError(row.message, status_code=row.status, response=response, body=inner, **codes)


def _stream(row: Row) -> Exception:
    """As openai's ``APIError`` of an event of a stream: no status, and no response."""
    return PlainError(
        row.message, request=object(), body=row.body, code=row.body["code"], message=row.message
    )


def _genai(row: Row) -> Exception:
    """As ``google.genai.errors.APIError``."""
    details = row.body[0] if isinstance(row.body, list) else row.body
    inner = details["error"]
    return PlainError(
        f"{row.status} {details}",
        code=row.status,
        status=inner.get("status"),
        message=inner["message"],
        details=details,
        response=SimpleNamespace(headers=row.headers, status_code=row.status),
    )


def _api_core(row: Row) -> Exception:
    """As ``google.api_core.exceptions.GoogleAPICallError``."""
    delay = row.retry_delay
    details = [] if delay is None else [SimpleNamespace(retry_delay=_duration(delay))]
    return PlainError(
        row.text,
        message=row.text,
        details=details,
        grpc_status_code=SimpleNamespace(name=row.grpc),
    )


def _duration(seconds: float) -> Any:
    return SimpleNamespace(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))


def aws_response(row: Row) -> dict[str, Any]:
    """The response that botocore parses."""
    return {
        "Error": {"Code": row.aws, "Message": row.text},
        _HTTP_OF_AWS: {"HTTPStatusCode": row.status, "HTTPHeaders": row.headers},
    }


def _aws(row: Row) -> Exception:
    return PlainError(f"An error occurred ({row.aws}): {row.text}", response=aws_response(row))


def _mistral(row: Row) -> Exception:
    """As ``mistralai``'s ``SDKError``: the body is text."""
    text = json.dumps(row.body)
    return PlainError(text, status_code=row.status, headers=row.headers, body=text, message=text)


def _ollama(row: Row) -> Exception:
    return PlainError(
        f"{row.text} (status code: {row.status})", status_code=row.status, error=row.text
    )


def _stripe(row: Row) -> Exception:
    return PlainError(row.message, http_status=row.status, headers={}, json_body=row.body)


def _retry_after(row: Row) -> Exception:
    seconds: Any = row.retry_after
    # python-telegram-bot has a timedelta from version 22 on.
    return PlainError(
        row.text, retry_after=timedelta(seconds=seconds) if row.provider == "Telegram" else seconds
    )


_FORMS: Final = {
    "openai": _openai,
    "openai-stream": _stream,
    "google-genai": _genai,
    "google-api-core": _api_core,
    "grpc": _GrpcError,
    "botocore": _aws,
    "mistralai": _mistral,
    "ollama": _ollama,
    "retry-after": _retry_after,
    "stripe": _stripe,
}
