"""One call with each real client of a service. Importing the clients takes seconds."""

from __future__ import annotations

import asyncio
import urllib.request

import aiohttp
import anthropic
import httpx
import openai
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

ERRORS_IN_STREAMS = (openai.APIError, anthropic.APIError)


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
