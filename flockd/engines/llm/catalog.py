"""The language models of one daemon: each is made when it is first asked, and shared by all agents that name it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from flockd.engines.llm.choice import Choice, canonical
from flockd.engines.llm.gate import Gate
from flockd.engines.llm.price import Price, price_of
from flockd.engines.outside import LlmDefaults, ModelLimits

if TYPE_CHECKING:
    from pydantic_ai.models import Model
    from pydantic_ai.providers import Provider


class Served(NamedTuple):
    """A model that can be asked."""

    name: str
    model: Model
    gate: Gate
    price: Price | None
    retries: int
    """Times that a request is sent again which was refused for now."""
    key_variable: str | None
    """The environment variable with the key that it is asked with, where one is named."""


class Models:
    """Makes models by name, with the key from the environment, and closes their connections at the end."""

    def __init__(self, llm: LlmDefaults, limits: Mapping[str, ModelLimits]) -> None:
        self._llm = llm
        self._limits = {canonical(name): one for name, one in limits.items()}
        self._limits_at_servers = {
            Choice(name, "").served_name: one for name, one in reversed(self._limits.items())
        }
        self._served: dict[Choice, Served] = {}
        self._gates: dict[tuple[str, str | None], Gate] = {}
        self._given: dict[str, Model] = {}
        self._making = asyncio.Lock()

    def give(self, name: str, model: Model) -> None:
        """From now on, this one is meant by the name, wherever it would be served: a scripted model, in tests."""
        self._given[canonical(name)] = model

    async def served(self, choice: Choice) -> Served:
        """The model, made ready in a thread: what it imports and reads takes a while.

        Raises ValueError with a sentence where it cannot be made.
        """
        found = self._served.get(choice)
        if found is None:
            async with self._making:
                found = self._served.get(choice)
                if found is None:
                    found = self._served[choice] = await self._make(choice)
        return found

    def problem(self, choice: Choice, *, priced: bool) -> str | None:
        """What keeps calls of the model from being made, as a sentence; None where nothing is known to. Asks nobody.

        It is made for that, and not kept: so an unknown provider is found, and one whose package is not installed.
        `priced`: whether a budget in usd counts for them.
        """
        try:
            _made(choice)
        except ValueError as error:
            return str(error)
        if priced and price_of(choice, self._limits_of(choice)) is None:
            return (
                f"nobody knows what {choice.name} costs, so that a budget in usd refuses its calls: give it "
                "input_usd and output_usd in [[models]]"
            )
        return None

    def unused(self, choices: Iterable[Choice]) -> list[str]:
        """The models that have limits, and that none of these choices is."""
        used = [limits.name for choice in choices if (limits := self._limits_of(choice)) is not None]
        return [limits.name for limits in self._limits.values() if limits.name not in used]

    async def _make(self, choice: Choice) -> Served:
        limits = self._limits_of(choice)
        given = self._given.get(canonical(choice.name))
        model, price = await asyncio.to_thread(
            lambda: (_made(choice) if given is None else given, price_of(choice, limits))
        )
        await model.__aenter__()
        gate = self._gate(choice, limits)
        return Served(choice.name, model, gate, price, self._llm.retries, choice.api_key_env)

    def _limits_of(self, choice: Choice) -> ModelLimits | None:
        """By the name; at a `base_url`, by that which its server has for the model, too."""
        limits = self._limits.get(canonical(choice.name))
        if limits is None and choice.base_url is not None:
            limits = self._limits_at_servers.get(choice.served_name)
        return limits

    def _gate(self, choice: Choice, limits: ModelLimits | None) -> Gate:
        """One for each model at each place, by whatever name and with whatever key it is asked."""
        base_url = choice.base_url
        place = (choice.name, None) if base_url is None else (choice.served_name, base_url.rstrip("/"))
        if place not in self._gates:
            most = limits.max_concurrency if limits is not None else None
            self._gates[place] = Gate(
                most or self._llm.max_concurrency, limits.rate if limits is not None else None
            )
        return self._gates[place]

    async def close(self) -> None:
        """Close all connections. Nobody may ask any more."""
        while self._served:
            _, served = self._served.popitem()
            await served.model.__aexit__(None, None, None)


def _made(choice: Choice) -> Model:
    """The model as pydantic-ai makes it. Raises ValueError with what keeps it from that."""
    if choice.problem is not None:
        raise ValueError(choice.problem)
    from pydantic_ai.exceptions import UserError
    from pydantic_ai.models import infer_model

    try:
        if choice.base_url is not None:
            return _compatible(choice)
        return infer_model(choice.name, lambda name: _provider(name, choice.api_key_env))
    except (ImportError, UserError) as error:
        hint = (
            "" if ":" in choice.name else '; write "provider:model", or say with base_url where it is served'
        )
        raise ValueError(f"{error}{hint}") from error


def _compatible(choice: Choice) -> Model:
    """What any server answers that speaks OpenAI's Chat Completions. Without a key it is sent a placeholder.

    The limit is sent as `max_tokens`, which every server knows (Ollama ignores the newer name, and would go on and on),
    but for those of OpenAI's own models that refuse it.
    """
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    assert choice.base_url is not None
    name = choice.served_name
    known = cast(OpenAIModelProfile, OpenAICompatibleProvider.model_profile(name) or {})
    newer_name = known.get("openai_supports_reasoning", False)
    provider = OpenAICompatibleProvider(
        "openai-compatible",
        base_url=choice.base_url,
        api_key=_key(choice.api_key_env),
        # What a family of models can do by itself is not what a server makes of them: most hold any model to a schema.
        profile=OpenAIModelProfile(
            openai_chat_supports_max_completion_tokens=newer_name, supports_json_schema_output=True
        ),
    )
    return OpenAIChatModel(name, provider=_once(provider))


def _provider(name: str, api_key_env: str | None) -> Provider[Any]:
    """The provider with the key that is named, else with the one that it finds by itself."""
    from pydantic_ai.providers import infer_provider, infer_provider_class

    key = _key(api_key_env)
    if key is None:
        return _once(infer_provider(name))
    try:
        return _once(infer_provider_class(name)(api_key=key))  # type: ignore[call-arg]  # most take one
    except TypeError:
        raise ValueError(f"{name} takes no key: leave out api_key_env ({api_key_env})") from None


def _key(api_key_env: str | None) -> str | None:
    """Raises ValueError where the variable is not set."""
    if api_key_env is None:
        return None
    key = os.environ.get(api_key_env)
    if not key:
        raise ValueError(f"the environment variable {api_key_env}, which should hold the key, is not set")
    return key


def _once(provider: Provider[Any]) -> Provider[Any]:
    """The provider, whose SDK sends each request once: whether it is sent again is decided where calls are counted."""
    client = provider.client
    if hasattr(client, "max_retries"):
        client.max_retries = 0
    return provider
