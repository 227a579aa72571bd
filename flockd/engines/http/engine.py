"""The engine of agents that are services of others: each run is one POST, and the answer is what it publishes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson

from flockd.domain.retry import delay_seconds
from flockd.engines.address import shown
from flockd.engines.base import Context, Output, Threads
from flockd.engines.http.answer import Answer, Unanswered, is_final, outputs_of, pause_seconds, refusal
from flockd.engines.http.target import Secrets, Target
from flockd.engines.signing import signed_headers
from flockd.errors import AgentFailed

SENDINGS = 20
"""Requests of one attempt, where the service keeps asking to come back later."""
_PAUSE_SECONDS, _PAUSE_MAX_SECONDS = 1.0, 60.0
"""The first pause where a service is asked too often and does not say when to come back; the longest of those."""
_PAUSE_LEAST_SECONDS = 0.5
"""Of a service that says "at once", too."""
_JITTER = 0.25
"""So much later than it was asked to, at most: runs that were told the same moment do not all come at it."""


class HttpEngine:
    """Posts a run to a service, waits while that says "not now", and takes its answer as artifacts.

    A repeat of a run, after a failure or a restart of the daemon, carries the same `idempotency-key`: the run's id.
    """

    kind = "http"

    def __init__(
        self,
        agent: str,
        target: Target,
        publishes: Sequence[str],
        *,
        timeout_seconds: float,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`timeout_seconds` is that of an attempt: no pause that would outlast it is begun."""
        self.target = target
        self._agent = agent
        self._publishes = tuple(publishes)
        self._timeout_seconds = timeout_seconds
        self._sleep = sleep
        self._clock = clock
        self._shown = shown(target.url)

    def problem(self) -> str | None:
        """What the environment lacks, as a sentence with the mend; None where each request can be made."""
        try:
            self.target.secrets()
        except ValueError as error:
            return f"agent {self._agent}: {error}"
        return None

    async def run(self, inputs: Sequence[Any], context: Context, threads: Threads) -> list[Output]:
        """Raises AgentFailed with what the service said, or why it could not be asked."""
        try:
            secrets = self.target.secrets()
        except ValueError as error:
            raise AgentFailed(f"agent {self._agent}: {error}", is_final=True) from None
        try:
            return await self._ask(context, secrets)
        except AgentFailed as failed:  # a service may quote what it was sent
            raise AgentFailed(
                secrets.redacted(failed.message), kind=failed.kind, is_final=failed.is_final
            ) from None

    async def _ask(self, context: Context, secrets: Secrets) -> list[Output]:
        client, target = context.outside.client, self.target
        body = _body(context)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_seconds
        sending = 0
        while True:
            sending += 1
            try:
                answer = await client.post(
                    target.url,
                    body,
                    self._headers(context, secrets, body),
                    allow_private=target.allow_private,
                )
            except Unanswered as unanswered:
                raise AgentFailed(self._sentence(str(unanswered)), is_final=unanswered.is_final) from None
            if 200 <= answer.status < 300:
                return outputs_of(answer, self._agent, self._publishes)
            pause = pause_seconds(answer, self._clock())
            refused = refusal(answer, secrets.redacted)
            if pause is None:
                if answer.status != 429:
                    raise self._refused(answer, refused)
                pause = delay_seconds(sending, _PAUSE_SECONDS, _PAUSE_MAX_SECONDS)
            if sending == SENDINGS:
                raise self._refused(answer, f"{refused} (asked {SENDINGS} times)")
            pause = max(pause, _PAUSE_LEAST_SECONDS) * (1 + _JITTER * random.random())
            if loop.time() + pause >= deadline:
                too_long = f"{refused} (the timeout does not leave the pause of {pause:.1f} s)"
                raise self._refused(answer, too_long)
            context.log.info("the service answered %d: asked again in %.1f s", answer.status, pause)
            await self._sleep(pause)

    def _headers(self, context: Context, secrets: Secrets, body: bytes) -> dict[str, str]:
        """Of one sending; a signature is made anew for each, since receivers refuse old ones."""
        headers = {**secrets.headers, "idempotency-key": context.run_id, "webhook-id": context.run_id}
        if secrets.key is not None:
            headers |= signed_headers(secrets.key, context.run_id, int(self._clock()), body)
        return headers

    def _refused(self, answer: Answer, said: str) -> AgentFailed:
        """Its kind is its status: an agent whose service says 404 for "not yet" gives that a pause in its `backoff`."""
        return AgentFailed(self._sentence(said), kind=f"http_{answer.status}", is_final=is_final(answer))

    def _sentence(self, said: str) -> str:
        return f"the service of {self._agent} ({self._shown}) {said}"


def _body(context: Context) -> bytes:
    return orjson.dumps(
        {
            "agent": context.agent,
            "run_id": context.run_id,
            "correlation_id": context.correlation_id,
            "attempt": context.attempt,
            "inputs": [artifact.document() for artifact in context.inputs],
        }
    )
