"""What engines reach beyond the daemon with: language models and other services. One for a daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from flockd.domain.rate import Rate

if TYPE_CHECKING:
    from flockd.engines.http.answer import Answer
    from flockd.engines.llm.catalog import Models


PROGRAM_SECONDS = 10.0
"""How long programs may take to end with the daemon; those that hear neither their input's end nor SIGTERM need half of
it until they are killed."""


class LlmDefaults(NamedTuple):
    """The section `[llm]`: what holds for every agent that thinks with a language model and says nothing else."""

    model: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    """The environment variable that holds the key; the key itself is nowhere else."""
    timeout_seconds: float = 120.0
    """For one request to the model."""
    max_tokens: int = 1024
    max_concurrency: int = 16
    """Requests at once to one model, of all agents together."""
    retries: int = 3
    """Times that a request is sent again which the provider refused for now (429, 5xx, a connection that failed): these
    count as no attempts of the run."""


class ModelLimits(NamedTuple):
    """A table `[[models]]`: what holds for one model, whoever uses it. None: what `[llm]` or the library says."""

    name: str
    max_concurrency: int | None = None
    rate: Rate | None = None
    input_usd: float | None = None
    """US dollars for a million input tokens."""
    output_usd: float | None = None


class Program(Protocol):
    """What a run has started beside the daemon."""

    owner: asyncio.Task[None] | None
    """The task that ends when the program has ended; that is soon after `leave`."""

    def leave(self) -> None: ...


class Sender(Protocol):
    """What sends to services; `flockd.engines.http.client` is the real one."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool) -> Answer:
        """Send a JSON body and read the answer. Raises Unanswered."""
        ...

    async def close(self) -> None: ...


class Outside:
    """An async context manager: left, its connections are closed. What is in it is made on first use."""

    def __init__(
        self,
        llm: LlmDefaults | None = None,
        models: Iterable[ModelLimits] = (),
        *,
        answer_bytes: int = 1 << 20,
    ) -> None:
        """`answer_bytes` bounds what a model or a service may answer to one request."""
        self.llm = llm or LlmDefaults()
        self.limits = {limits.name: limits for limits in models}
        self.answer_bytes = answer_bytes
        self.programs: set[Program] = set()
        """Those that have not ended."""
        self._models: Models | None = None
        self._client: Sender | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._end_programs()
        if self._models is not None:
            await self._models.close()
        if self._client is not None:
            await self._client.close()

    async def _end_programs(self) -> None:
        """No program outlives the daemon, whether its run has left it or not."""
        programs = list(self.programs)
        for program in programs:
            program.leave()
        owners = [program.owner for program in programs if program.owner is not None]
        if owners:
            await asyncio.wait(owners, timeout=PROGRAM_SECONDS)

    @property
    def models(self) -> Models:
        """The language models that agents name, each with its limits."""
        if self._models is None:
            from flockd.engines.llm.catalog import Models

            self._models = Models(self.llm, self.limits)
        return self._models

    @property
    def client(self) -> Sender:
        """What sends to services of others."""
        if self._client is None:
            from flockd.engines.http.client import Client

            self._client = Client(answer_bytes=self.answer_bytes)
        return self._client

    def give_client(self, client: Sender) -> None:
        """From now on, this one sends to services: a scripted one, in tests."""
        self._client = client
