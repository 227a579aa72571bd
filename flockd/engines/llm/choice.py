"""Which language model an agent thinks with, where that is served, and what keeps it from being asked."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import NamedTuple

from flockd.engines.llm.thinking import Thinking
from flockd.engines.outside import LlmDefaults

_COMPATIBLE = frozenset({"openai", "openai-chat", "ollama", "vllm", "litellm"})
"""First words of a name that say no more than a `base_url` does, so that they are not sent to it."""
_KEYS = {
    "openai": "OPENAI_API_KEY",
    "openai-chat": "OPENAI_API_KEY",
    "openai-responses": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "cohere": "CO_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
}
"""Where providers look for their key by themselves. Of others, pydantic-ai says so when the model is first asked."""


class Choice(NamedTuple):
    """A model and where it is asked."""

    name: str
    """`provider:model`; with a `base_url` also the bare name that the server has for it. The same for both forms of
    one name, so limits, prices and usage go by it."""
    base_url: str | None = None
    api_key_env: str | None = None

    @property
    def provider(self) -> str | None:
        """What stands before the first colon, where that is a provider's name."""
        return None if self.base_url is not None else self.name.partition(":")[0]

    @property
    def served_name(self) -> str:
        """What a server at `base_url` knows the model by."""
        word, colon, rest = self.name.partition(":")
        return rest if colon and word in _COMPATIBLE else self.name

    @property
    def destination(self) -> str | None:
        """Who gets the key."""
        return self.base_url or self.provider

    @property
    def problem(self) -> str | None:
        """What keeps the model from being asked, as far as that is known without asking; with the mend."""
        if find_spec("pydantic_ai") is None:
            return "language models are an extra of flockd: pip install 'flockd[llm]'"
        variable = self.api_key_env
        if variable is None and self.base_url is None and "OPENAI_BASE_URL" not in os.environ:
            variable = _KEYS.get(self.provider or "")
        if variable is not None and not os.environ.get(variable):
            return f"the key for {self.name} is expected in the environment variable {variable}, which is not set"
        return None


def canonical(name: str, base_url: str | None = None) -> str:
    """One form of a model's name: `openai/gpt-4o` is `openai:gpt-4o`.

    What is served at a `base_url` has the name that its server gives it, as `Qwen/Qwen3-8B` or `mistral:7b`, but for a
    first word that only says that the server speaks OpenAI's protocol.
    """
    if name.startswith("gateway/"):  # pydantic-ai's own: gateway/openai:gpt-4o
        return name
    word, slash, rest = name.partition("/")
    if not slash or ":" in word or (base_url is not None and word not in _COMPATIBLE):
        return name
    return f"{word}:{rest}"


def chosen(thinking: Thinking, default_model: str | None, defaults: LlmDefaults) -> Choice | None:
    """The agent's own choice, else the flock's, else that of `[llm]`; None where none of them names a model.

    A key goes only to whom it was given for: that of `[llm]` to its `base_url` or its model's provider, and to no other
    that an agent names.
    """
    name = thinking.model or default_model or defaults.model
    if name is None:
        return None
    base_url = thinking.base_url or defaults.base_url
    choice = Choice(canonical(name, base_url), base_url, thinking.api_key_env)
    if choice.api_key_env is None and defaults.api_key_env is not None:
        meant = defaults.model or default_model or name
        given_for = Choice(canonical(meant, defaults.base_url), defaults.base_url).destination
        if given_for == choice.destination:
            choice = choice._replace(api_key_env=defaults.api_key_env)
    return choice
