"""The recipes for LLM clients run with the real packages, against servers that fail."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ciris_registry import ServiceRegistry
from ciris_registry.demo.upstream import Behaviour, Upstream
from tests.documentation import block_after, run_with_package

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.parametrize("recipe", ["## OpenAI SDK", "## pydantic-ai", "## LangChain"])

PAGE = "docs/how-to/llm-clients.md"

OPENAI = "openai has read 41 characters."
LOCAL = "local has read 41 characters."


@contextmanager
def serving(name: str) -> Iterator[Upstream]:
    with Upstream(name) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    """What the recipes ask first."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving("openai") as server:
        yield server


@pytest.fixture
def local() -> Iterator[Upstream]:
    """What is well."""
    with serving("local") as server:
        yield server


async def said(
    recipe: str, registry: ServiceRegistry, capsys: pytest.CaptureFixture[str], *servers: Upstream
) -> list[str]:
    """What a recipe prints: the answer to its call, then that of its stream."""
    urls = {one.name: f"http://127.0.0.1:{one.server_port}/v1" for one in servers}
    await run_with_package(block_after(PAGE, recipe), registry=registry, urls=urls)
    return capsys.readouterr().out.splitlines()


async def test_the_first_provider_serves_while_it_works(
    recipe: str, openai: Upstream, local: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    async with ServiceRegistry() as registry:
        assert await said(recipe, registry, capsys, openai, local) == [OPENAI, OPENAI]
    assert not local.counts


async def test_after_a_500_the_next_provider_serves(
    recipe: str, openai: Upstream, local: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    openai.behave(Behaviour(fails=True))
    async with ServiceRegistry() as registry:
        assert await said(recipe, registry, capsys, openai, local) == [LOCAL, LOCAL]
        assert registry.breaker("llm", "openai").get_stats()["failure_count"] == 2
    assert openai.counts == {"failed": 2}


async def test_after_a_429_the_provider_cools_down_for_as_long_as_it_asks(
    recipe: str, openai: Upstream, local: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    openai.behave(Behaviour(limits=300))
    async with ServiceRegistry() as registry:
        assert await said(recipe, registry, capsys, openai, local) == [LOCAL, LOCAL]
        rejected = (await registry.explain("planner", "llm"))[-1]
        assert (rejected.name, rejected.reason) == ("openai", "cooling_down")
        assert rejected.retry_after is not None
        assert 200 < rejected.retry_after <= 300
        assert registry.breaker("llm", "openai").get_stats()["failure_count"] == 0
    assert openai.counts == {"limited": 1}


async def test_a_stream_that_fails_before_its_first_item_comes_from_the_next_provider(
    recipe: str, openai: Upstream, local: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    openai.behave(Behaviour(cuts_early=1))
    async with ServiceRegistry() as registry:
        assert await said(recipe, registry, capsys, openai, local) == [OPENAI, LOCAL]
        assert registry.breaker("llm", "openai").get_stats()["failure_count"] == 1
    assert openai.counts == {"answered": 1, "cut_early": 1}
