"""What the errors of real clients mean, raised by real answers of a server on this machine."""

from __future__ import annotations

import asyncio
import socket
import threading
import urllib.request
from contextlib import suppress
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING

import aiohttp
import anthropic
import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from ciris_registry import FAILURE, Classification, RegistrySettings, cooldown
from ciris_registry.circuit_breaker.outcomes.classifier import Classifier
from tests.unit.circuit_breaker.outcomes.http_answers import ANSWERS, Handler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Call = Callable[[str], Awaitable[object]]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server that gives all responses of ``ANSWERS``."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def openai_client(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0)


async def by_httpx(url: str) -> None:
    async with httpx.AsyncClient() as client:
        (await client.post(url)).raise_for_status()


async def by_httpx_stream(url: str) -> None:
    async with httpx.AsyncClient() as client, client.stream("POST", url) as response:
        response.raise_for_status()


async def by_openai(url: str) -> None:
    async with openai_client(url) as client:
        await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Hello"}]
        )


async def by_openai_stream(url: str) -> None:
    async with openai_client(url) as client:
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        async for _ in stream:
            pass


async def by_anthropic(url: str) -> None:
    async with anthropic.AsyncAnthropic(api_key="none", base_url=url, max_retries=0) as client:
        await client.messages.create(
            model="claude", max_tokens=9, messages=[{"role": "user", "content": "Hello"}]
        )


async def by_anthropic_stream(url: str) -> None:
    async with anthropic.AsyncAnthropic(api_key="none", base_url=url, max_retries=0) as client:
        stream = await client.messages.create(
            model="claude",
            max_tokens=9,
            messages=[{"role": "user", "content": "Hello"}],
            stream=True,
        )
        async for _ in stream:
            pass


async def by_aiohttp(url: str) -> None:
    async with aiohttp.ClientSession(raise_for_status=True) as session, session.post(url):
        pass


async def by_pydantic_ai(url: str) -> None:
    async with openai_client(url) as client:
        model = OpenAIChatModel("gpt-4o", provider=OpenAIProvider(openai_client=client))
        await Agent(model).run("Hello")


async def by_langchain(url: str) -> None:
    async with openai_client(url) as client:
        model = ChatOpenAI(model="gpt-4o", api_key=SecretStr("none"), base_url=url, max_retries=0)
        model.async_client = client.chat.completions
        await model.ainvoke("Hello")


async def by_urllib(url: str) -> None:
    await asyncio.to_thread(urllib.request.urlopen, url)


WITH_BODY = [by_httpx, by_openai, by_openai_stream, by_anthropic, by_pydantic_ai, by_langchain]
WITHOUT_BODY = [by_httpx_stream, by_aiohttp, by_urllib]


async def raised(call: Call, url: str) -> Exception:
    try:
        await call(url)
    except Exception as error:  # noqa: BLE001 # it is what the test is about
        return error
    raise AssertionError("nothing was raised")


@pytest.fixture
def classifier() -> Classifier:
    return Classifier(RegistrySettings().cooldown_durations)


@pytest.mark.parametrize("call", WITH_BODY)
@pytest.mark.parametrize("name", ANSWERS)
async def test_an_error_of_a_client_is_classified_by_the_response(
    server: str, classifier: Classifier, call: Call, name: str
) -> None:
    error = await raised(call, f"{server}/{name}")
    assert classifier.error(error) == ANSWERS[name].meaning


@pytest.mark.parametrize("call", WITHOUT_BODY)
@pytest.mark.parametrize("name", ANSWERS)
async def test_an_error_without_a_body_is_classified_by_the_response(
    server: str, classifier: Classifier, call: Call, name: str
) -> None:
    error = await raised(call, f"{server}/{name}")
    expected = ANSWERS[name].without_body or ANSWERS[name].meaning
    assert classifier.error(error) == expected
    with suppress(AttributeError):
        error.close()  # type: ignore[attr-defined] # urllib's error is a response, and open


@pytest.mark.parametrize(
    ("call", "name", "expected"),
    [
        (by_openai_stream, "openai-limited", cooldown(5)),
        (by_openai_stream, "openai-quota", cooldown(3600)),
        (by_openai_stream, "openai-broken", FAILURE),
        (by_anthropic_stream, "anthropic-limited", cooldown(5)),
        (by_anthropic_stream, "anthropic-overloaded", FAILURE),
    ],
)
async def test_an_error_inside_a_stream_is_classified(
    server: str, classifier: Classifier, call: Call, name: str, expected: Classification
) -> None:
    error = await raised(call, f"{server}/{name}")
    assert isinstance(error, openai.APIError | anthropic.APIError)
    assert classifier.error(error) == expected


@pytest.mark.parametrize("call", [*WITH_BODY, *WITHOUT_BODY])
async def test_an_unreachable_server_is_a_failure(classifier: Classifier, call: Call) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        error = await raised(call, f"http://127.0.0.1:{bound.getsockname()[1]}/gone")
    assert classifier.error(error) == FAILURE


async def late_httpx(url: str) -> None:
    async with httpx.AsyncClient(timeout=0.1) as client:
        await client.post(url)


async def late_openai(url: str) -> None:
    async with openai_client(url) as client:
        await client.models.list(timeout=0.1)


async def late_anthropic(url: str) -> None:
    async with anthropic.AsyncAnthropic(api_key="none", base_url=url, max_retries=0) as client:
        await client.models.list(timeout=0.1)


async def late_aiohttp(url: str) -> None:
    timeout = aiohttp.ClientTimeout(total=0.1)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url):
        pass


@pytest.mark.parametrize("call", [late_httpx, late_openai, late_anthropic, late_aiohttp])
async def test_a_clients_own_timeout_is_a_failure(classifier: Classifier, call: Call) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        error = await raised(call, f"http://127.0.0.1:{silent.getsockname()[1]}/silent")
    assert "timeout" in type(error).__name__.lower()
    assert classifier.error(error) == FAILURE
