"""An error as HTTP clients raise it, and bodies of providers' responses."""

from __future__ import annotations

from typing import Any


class HttpError(Exception):
    """An error of an HTTP client."""

    def __init__(self, status: int, body: object = None, **headers: str) -> None:
        super().__init__("refused")
        self.status = status
        self.body = body
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}


def code(word: str) -> dict[str, Any]:
    return {"error": {"message": "no", "code": word}}


def says(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error"}}
