"""The errors that real clients raise for the rows of the table. Their import takes seconds."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any, Final

import anthropic
import httpx2
import openai

from tests.unit.circuit_breaker.outcomes.provider_errors import aws_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.circuit_breaker.outcomes.provider_errors import Row

# Without types, or with types that need more of their packages than the tests do.
_botocore: Final[Any] = importlib.import_module("botocore.exceptions")
_grpc: Final[Any] = importlib.import_module("grpc")
_grpc_aio: Final[Any] = importlib.import_module("grpc.aio")
_google: Final[Any] = importlib.import_module("google.api_core.exceptions")
_details: Final[Any] = importlib.import_module("google.rpc.error_details_pb2")


def raised_by_client(row: Row) -> Exception:
    """The error that the row's client raises when it gets this answer."""
    try:
        CALLS[row.client](row)
    except Exception as error:  # noqa: BLE001 # it is what the test is about
        return error
    raise AssertionError("nothing was raised")


def _server(row: Row) -> httpx2.Client:
    """An HTTP client whose requests are all answered as the row says."""
    content = row.body if isinstance(row.body, str) else json.dumps(row.body)
    headers = {"content-type": "application/json", **row.headers}
    status = row.status or 200
    if row.client.endswith("-stream"):
        headers["content-type"], status = "text/event-stream", 200
        body = row.body if row.client.startswith("anthropic") else {"error": row.body}
        content = f"event: error\ndata: {json.dumps(body)}\n\n"
    return httpx2.Client(
        transport=httpx2.MockTransport(
            lambda _: httpx2.Response(status, headers=headers, content=content)
        )
    )


def _openai(row: Row) -> None:
    with _server(row) as server:
        client = openai.OpenAI(api_key="none", max_retries=0, http_client=server)
        stream = client.chat.completions.create(
            model="gpt", messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        for _ in stream:
            pass


def _anthropic(row: Row) -> None:
    with _server(row) as server:
        client = anthropic.Anthropic(api_key="none", max_retries=0, http_client=server)
        stream = client.messages.create(
            model="claude",
            max_tokens=9,
            messages=[{"role": "user", "content": "Hello"}],
            stream=True,
        )
        for _ in stream:
            pass


def _aws(row: Row) -> None:
    raise _botocore.ClientError(aws_response(row), "Converse")


def _grpc_error(row: Row) -> None:
    raise _grpc_aio.AioRpcError(
        _grpc.StatusCode[row.grpc],
        _grpc_aio.Metadata(),
        _grpc_aio.Metadata(*row.headers.items()),
        details=row.text,
    )


def _google_error(row: Row) -> None:
    details = []
    if row.retry_delay is not None:
        info = _details.RetryInfo()
        info.retry_delay.FromNanoseconds(int(row.retry_delay * 1e9))
        details.append(info)
    raise _google.from_grpc_status(_grpc.StatusCode[row.grpc], row.text, details=details)


CALLS: Final[dict[str, Callable[[Row], None]]] = {
    "openai": _openai,
    "openai-stream": _openai,
    "anthropic": _anthropic,
    "anthropic-stream": _anthropic,
    "botocore": _aws,
    "grpc": _grpc_error,
    "google-api-core": _google_error,
}
