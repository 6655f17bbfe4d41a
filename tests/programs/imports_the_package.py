"""Imports the package and prints which clients of services were imported with it."""

from __future__ import annotations

import sys

import ciris_registry

CLIENTS = {
    "aiohttp",
    "anthropic",
    "botocore",
    "httpx",
    "httpx2",
    "langchain_core",
    "openai",
    "pydantic_ai",
    "requests",
}

if __name__ == "__main__":
    assert ciris_registry.__all__
    print(sorted(CLIENTS & set(sys.modules)))  # noqa: T201 # read by the test
