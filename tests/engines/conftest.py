"""A provider of a language model, and what a daemon would reach it with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from flockd.engines.llm import model
from flockd.engines.outside import LlmDefaults, Outside

from .fake_openai import MODEL, FakeOpenAI


@pytest.fixture
async def provider() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        yield server


@pytest.fixture
def defaults(provider: FakeOpenAI) -> LlmDefaults:
    """The section `[llm]` of these tests."""
    return LlmDefaults(model=f"openai:{MODEL}", base_url=provider.url)


@pytest.fixture
async def outside(defaults: LlmDefaults) -> AsyncIterator[Outside]:
    async with Outside(defaults) as entered:
        yield entered


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent again is sent at once, where its provider does not say when."""
    monkeypatch.setattr(model, "BACKOFF_SECONDS", 0.001)
