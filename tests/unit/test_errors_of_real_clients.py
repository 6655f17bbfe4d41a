"""What the errors of real clients mean, raised by real answers of a server on this machine."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

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

from ciris_registry import FAILURE, IGNORED, Judgement, RegistrySettings, cooldown
from ciris_registry.classification import Classifier

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    Call = Callable[[str], Awaitable[object]]


NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Answer(NamedTuple):
    """What the server says, and what that means for it."""

    status: int
    meaning: Judgement
    headers: Mapping[str, str] = NOTHING
    error: Mapping[str, str | None] = NOTHING
    # Where the body alone tells: what it means to clients whose errors do not have it.
    without_body: Judgement | None = None


QUOTA = {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": None}
NO_CREDIT = {
    "message": "Your credit balance is too low to access the API. Please go to Plans & Billing.",
    "type": "invalid_request_error",
}
DATE = {"Date": "Sun, 06 Nov 1994 08:49:37 GMT"}
REQUESTS_ARE_OUT = {
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "6m0s",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-tokens": "20ms",
}
TOKENS_ARE_OUT = {
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "1994-11-06T08:49:38Z",
    "anthropic-ratelimit-tokens-remaining": "0",
    "anthropic-ratelimit-tokens-reset": "1994-11-06T08:50:37Z",
}
ANSWERS = {
    "limited": Answer(429, cooldown(5)),
    "limited-for-seconds": Answer(429, cooldown(7), {"Retry-After": "7"}),
    "limited-for-milliseconds": Answer(
        429, cooldown(1.5), {"Retry-After": "2", "retry-after-ms": "1500"}
    ),
    "limited-until": Answer(
        429, cooldown(90), {**DATE, "Retry-After": "Sun, 06 Nov 1994 08:51:07 GMT"}
    ),
    "out-of-requests": Answer(429, cooldown(360), REQUESTS_ARE_OUT),
    "out-of-tokens": Answer(429, cooldown(60), {**DATE, **TOKENS_ARE_OUT}),
    "out-of-quota": Answer(429, cooldown(3600), {"Retry-After": "1"}, QUOTA, cooldown(1)),
    "out-of-credit": Answer(400, cooldown(3600), {}, NO_CREDIT, IGNORED),
    "unpaid": Answer(402, cooldown(3600)),
    "wrong": Answer(400, IGNORED),
    "unknown-key": Answer(401, IGNORED),
    "forbidden": Answer(403, IGNORED),
    "not-found": Answer(404, IGNORED),
    "timed-out": Answer(408, FAILURE),
    "unprocessable": Answer(422, IGNORED),
    "broken": Answer(500, FAILURE),
    "bad-gateway": Answer(502, FAILURE),
    "unavailable": Answer(503, FAILURE, {"x-ratelimit-remaining": "9", "x-ratelimit-reset": "60"}),
    "unavailable-for-seconds": Answer(503, cooldown(12), {"Retry-After": "12"}),
    "overloaded": Answer(529, FAILURE),
    "overloaded-for-seconds": Answer(529, cooldown(30), {"Retry-After": "30"}),
}


class Handler(BaseHTTPRequestHandler):
    """Gives the answer that the path names."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = ANSWERS[self.path.split("/")[1]]
        error = dict(answer.error) or {"message": "no", "type": "some_error", "code": None}
        body = json.dumps({"type": "error", "error": error}).encode()
        self.send_response_only(answer.status)
        about = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, text in {**about, **answer.headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server that gives all of the answers."""
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
        await client.responses.create(model="gpt-4o", input="Hello", stream=True)


async def by_anthropic(url: str) -> None:
    async with anthropic.AsyncAnthropic(api_key="none", base_url=url, max_retries=0) as client:
        await client.messages.create(
            model="claude", max_tokens=9, messages=[{"role": "user", "content": "Hello"}]
        )


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
    return Classifier(RegistrySettings())


@pytest.mark.parametrize("call", WITH_BODY)
@pytest.mark.parametrize("name", ANSWERS)
async def test_an_error_of_a_client_is_judged_by_the_answer(
    server: str, classifier: Classifier, call: Call, name: str
) -> None:
    error = await raised(call, f"{server}/{name}")
    assert classifier.error(error) == ANSWERS[name].meaning


@pytest.mark.parametrize("call", WITHOUT_BODY)
@pytest.mark.parametrize("name", ANSWERS)
async def test_so_is_one_that_has_no_body(
    server: str, classifier: Classifier, call: Call, name: str
) -> None:
    error = await raised(call, f"{server}/{name}")
    expected = ANSWERS[name].without_body or ANSWERS[name].meaning
    assert classifier.error(error) == expected
    with suppress(AttributeError):
        error.close()  # type: ignore[attr-defined] # urllib's error is a response, and open
