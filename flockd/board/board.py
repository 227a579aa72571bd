"""The board: the one door through which state changes.

A verb is made ready outside the transaction (`preparing.py`), handed to the writer, and answered once it is on disk. A
caller that is cancelled only stops waiting; it tears nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import orjson

from flockd.board.batch import BatchWritten, Inputs, Refuse, StartBatch
from flockd.board.control import (
    CancelCorrelation,
    CancelRun,
    Exhaust,
    FreeKeys,
    KeepAnswer,
    LiveText,
    Recall,
    Reset,
)
from flockd.board.memory import Answer, Answered, Ask, RecordStep, TellTool
from flockd.board.outcome import Fail, Finish, Progress, Return
from flockd.board.pause import PauseAgent, PauseCorrelation
from flockd.board.preparing import Preparing
from flockd.board.publication import Idempotency, Prepared, Publication, Published
from flockd.board.publish import Publish, PublishedMany, PublishMany, RunAgent
from flockd.board.redrive import Redrive, Redriven, Render
from flockd.board.start import Adopt, Claim, Orphan, Release, TakeBack, TakeFull, Wake
from flockd.board.timers import FireTimers, SyncTimers, is_set_back
from flockd.board.usage import BeginCall, CloseLostCalls, EndCall, ForgetLedgers, RenewLedgers
from flockd.domain.agent import Agent, Agents
from flockd.domain.artifact_type import Types
from flockd.domain.budget import Budgets, Shortage
from flockd.domain.correlation import Correlation
from flockd.domain.gathering import BatchSpec
from flockd.domain.identity import new_id
from flockd.domain.priority import Priority
from flockd.domain.question import Question
from flockd.domain.run import Run
from flockd.domain.timer import Timer
from flockd.domain.usage import Most
from flockd.errors import FlockdError, InvalidInput
from flockd.store.command import DUE_PAGE, Command
from flockd.store.reads import Reads

REVEALED_AT_ONCE = 128
"""Hidden artifacts that are on their way to the writer together: half of what a group takes."""


class Submit(Protocol):
    """Queues a command with the writer."""

    def __call__(self, command: Command) -> asyncio.Future[Any]: ...


class Board:
    """Publish, claim, finish, cancel, …: every change of state is a method here."""

    def __init__(
        self,
        submit: Submit,
        *,
        types: Types,
        agents: Agents,
        reads: Reads,
        run_outputs: int,
        output_bytes: int,
        timers: Iterable[Timer] = (),
        budgets: Budgets | None = None,
    ) -> None:
        self.types = types
        self.agents = agents
        self.budgets = budgets or Budgets()
        """The writer's."""
        self.timers = {timer.name: timer for timer in timers}
        self.reads = reads
        self.preparing = Preparing(types, agents, run_outputs=run_outputs, output_bytes=output_bytes)
        self.live_text: LiveText = lambda _run_id: None
        """The supervisor's view of what a running run has written; kept when a run is cancelled."""
        self._submit = submit

    # -- work from outside ----------------------------------------------------------------------------------

    async def publish(
        self,
        publication: Publication,
        *,
        dialect: str = "native",
        name: str = "",
        idempotency: Idempotency | None = None,
    ) -> Published:
        """Put one artifact on the board and wake its agents.

        Raises InvalidInput, Conflict, IdempotencyMismatch, Unavailable.
        """
        prepared = self.preparing.publication(publication)
        answer: Published = await self._submit(Publish(prepared, dialect, name, idempotency))
        return answer

    async def publish_many(
        self,
        publications: Sequence[Publication | FlockdError],
        *,
        atomic: bool = False,
        idempotency: Idempotency | None = None,
    ) -> PublishedMany:
        """Many artifacts in one transaction; a bad one (or one that the caller found bad) is an error in its place.

        With `atomic` the first bad one raises InvalidInput, and nothing is stored.
        """
        items: list[Prepared | FlockdError] = []
        for index, publication in enumerate(publications):
            try:
                if isinstance(publication, FlockdError):
                    raise publication
                items.append(self.preparing.publication(publication))
            except FlockdError as error:
                if atomic:
                    raise InvalidInput(f"items.{index}: {error.message}", details=error.details) from None
                items.append(error)
            if index % 64 == 63:
                await asyncio.sleep(0)  # a large bulk lets others have the loop
        answer: PublishedMany = await self._submit(PublishMany(items, atomic, idempotency))
        return answer

    async def run_agent(
        self,
        agent: Agent,
        inputs: Sequence[Publication],
        *,
        cascade: bool = False,
        dialect: str = "native",
        correlation_id: str | None = None,
        priority: Priority | None = None,
        idempotency: Idempotency | None = None,
    ) -> Published:
        """Run one agent exactly once on these inputs, which wake nobody else.

        `correlation_id` and `priority` are for an agent that takes no inputs; otherwise the inputs say them. Raises
        InvalidInput, Conflict, IdempotencyMismatch, Unavailable.
        """
        if inputs:
            correlation_id, priority = inputs[0].correlation_id, inputs[0].priority
        correlation_id = correlation_id or new_id()
        prepared = self.preparing.direct(agent, inputs, correlation_id)
        place = agent.place_of(orjson.loads(one.draft.payload) for one in prepared)
        command = RunAgent(agent, prepared, cascade, dialect, idempotency, correlation_id, priority, place)
        answer: Published = await self._submit(command)
        return answer

    async def refuse(
        self,
        name: str,
        reason: str,
        *,
        dialect: str,
        correlation_id: str | None = None,
        idempotency: Idempotency | None = None,
    ) -> Published:
        """Store a workflow that has failed before it began: whoever asked for `name` finds the reason by its id."""
        answer: Published = await self._submit(
            Refuse(correlation_id or new_id(), dialect, name, reason, idempotency)
        )
        return answer

    async def start_batch(
        self,
        agent: Agent,
        items: Sequence[Sequence[Publication] | FlockdError],
        *,
        width: int,
        options: bytes = b"{}",
        correlation_id: str | None = None,
        priority: Priority | None = None,
        idempotency: Idempotency | None = None,
        unwritten: bool = False,
    ) -> Published:
        """Run one agent, and what it sets off, on each of many items, `width` of them at a time.

        `unwritten`: somebody will write its results into a file, and say so (`batch_written`).
        An item that the caller or its type refuses is a failed item; so is one with the wrong inputs. Raises
        Conflict, IdempotencyMismatch, Unavailable.
        """
        checked: list[Inputs | str] = []
        for index, item in enumerate(items):
            try:
                if isinstance(item, FlockdError):
                    raise item
                checked.append(self.preparing.item(agent, item))
            except FlockdError as error:
                checked.append(error.message)
            if index % 64 == 63:
                await asyncio.sleep(0)  # a large batch lets others have the loop
        command = StartBatch(
            correlation_id or new_id(), agent.name, checked, width, options, priority, idempotency, unwritten
        )
        answer: Published = await self._submit(command)
        return answer

    async def batch_written(self, correlation_id: str) -> None:
        """The results of a batch are in their file, or never will be."""
        await self._submit(BatchWritten(correlation_id))

    async def cancel_run(self, run_id: str) -> Run:
        """End one run; raises NotFound."""
        run: Run = await self._submit(CancelRun(run_id, self.live_text))
        return run

    async def cancel_correlation(self, correlation_id: str) -> Correlation:
        """End a workflow with everything under it; raises NotFound."""
        correlation: Correlation = await self._submit(CancelCorrelation(correlation_id, self.live_text))
        return correlation

    async def pause_correlation(self, correlation_id: str, paused: bool) -> Correlation:
        """Let nothing of a workflow start, or let it go on; raises NotFound."""
        correlation: Correlation = await self._submit(PauseCorrelation(correlation_id, paused))
        return correlation

    async def pause_agent(self, agent: Agent, paused: bool) -> bool:
        """Let no run of an agent start, or let them; answers whether that changed anything."""
        changed: bool = await self._submit(PauseAgent(agent.name, paused))
        return changed

    async def redrive(
        self,
        run_ids: Sequence[str],
        *,
        render: Render,
        strict: bool = False,
        idempotency: Idempotency | None = None,
    ) -> Redriven:
        """Start dead runs again, as far as they can be; with `strict` raises NotFound, Conflict where one cannot.

        `render` makes the answer that is kept with the key. Raises IdempotencyMismatch, Unavailable.
        """
        redriven: Redriven = await self._submit(Redrive(run_ids, render, idempotency, strict))
        return redriven

    async def answer_question(
        self, question: Question, answer: bytes, answered_by: str, idempotency: Idempotency | None = None
    ) -> Answered:
        """Answer an open question; its run starts again.

        `answer` is JSON. Raises InvalidInput where its schema refuses it, NotFound, Conflict, IdempotencyMismatch.
        """
        self.preparing.check_answer(question, answer)
        answered: Answered = await self._submit(Answer(question.id, answer, answered_by, idempotency))
        return answered

    async def keep_answer(self, digest: bytes, answer: bytes, published: Published) -> None:
        """Store the final answer of the request that published this."""
        await self._submit(KeepAnswer(digest, answer, published.artifact_id))

    async def recall(self, idempotency: Idempotency) -> bytes | None:
        """The final answer that this key was given before, if any. Raises IdempotencyMismatch, Unavailable."""
        answer: bytes | None = await self._submit(Recall(idempotency))
        return answer

    async def free_key(self, digest: bytes, published: Published) -> None:
        """Forget the key of the request that published this and answered an error."""
        await self._submit(FreeKeys((digest,), artifact_id=published.artifact_id))

    async def free_old_keys(self, digests: Sequence[bytes], older_than: int) -> None:
        await self._submit(FreeKeys(digests, older_than))

    async def reset(self) -> None:
        """Empty the board."""
        await self._submit(Reset())

    # -- the daemon's own work ------------------------------------------------------------------------------

    async def claim(self, run_ids: Sequence[str]) -> list[str]:
        claimed: list[str] = await self._submit(Claim(run_ids))
        return claimed

    def release(self, place: str) -> asyncio.Future[Any]:
        return self._submit(Release(place))

    async def wake(self, moment: int) -> bool:
        more: bool = await self._submit(Wake(moment))
        return more

    async def take_full(self) -> None:
        """At start: batches begin that are full by the sizes that are declared now."""
        gatherings = {agent.name: agent.subscription.gathering for agent in self.agents.values()}
        sizes = {name: one.size for name, one in gatherings.items() if isinstance(one, BatchSpec)}
        while sizes and (full := await self.reads.full_batches(sizes, DUE_PAGE)):
            await self._submit(TakeFull(tuple(full)))

    async def sync_timers(self) -> None:
        """At start: the stored timers become those that are declared; what was missed is skipped or caught up."""
        stored = [progress.name for progress in await self.reads.timers()]
        gone = [name for name in stored if name not in self.timers]
        if self.timers or gone:
            firings = [self.preparing.firing(timer) for timer in self.timers.values()]
            await self._submit(SyncTimers(firings, gone))

    async def fire_timers(self, moment: int) -> None:
        """Fire what is due."""
        if not self.timers:
            return
        firings = [
            self.preparing.firing(self.timers[progress.name])
            for progress in await self.reads.timers()
            if progress.due_at is not None
            if progress.due_at <= moment or is_set_back(self.timers[progress.name], progress, moment)
        ]
        if firings:
            await self._submit(FireTimers(firings))

    async def exhaust(self, correlation_id: str) -> None:
        await self._submit(Exhaust(correlation_id, self.live_text))

    async def record_step(self, run: Run, name: str, value: bytes, tool: bytes | None = None) -> bool:
        """Keep the result of a step, and tell of the tool that it is; False where the claim no longer holds."""
        recorded: bool = await self._submit(
            RecordStep(run.id, run.correlation_id, run.fence, name, value, tool)
        )
        return recorded

    async def tell_tool(self, run: Run, data: bytes) -> bool:
        """Tell of a call of a tool that failed; False where the claim no longer holds."""
        told: bool = await self._submit(TellTool(run.id, run.correlation_id, run.fence, data))
        return told

    async def begin_call(self, run: Run, call_id: str, model: str, most: Most) -> bool | Shortage:
        """Reserve what a call of a language model takes at most; False where the claim no longer holds."""
        begun: bool | Shortage = await self._submit(
            BeginCall(run.id, run.correlation_id, run.fence, call_id, model, most)
        )
        return begun

    def end_call(self, ended: EndCall) -> asyncio.Future[Any]:
        """Charge what a call took; answers False where its step was dropped."""
        return self._submit(ended)

    async def ask(self, run: Run, key: str, text: str, schema: bytes, timeout_ms: int | None) -> bool:
        """Ask a question, for whose answer the run waits; False where the claim no longer holds."""
        asked: bool = await self._submit(
            Ask(run.id, run.correlation_id, run.fence, key, text, schema, timeout_ms)
        )
        return asked

    def progress(
        self, run: Run, fraction: float, phase: str | None, message: str | None
    ) -> asyncio.Future[Any]:
        return self._submit(Progress(run.id, run.correlation_id, run.fence, fraction, phase, message))

    def end(self, outcome: Finish | Fail | Return) -> asyncio.Future[Any]:
        """Record how an attempt ended; answers False where the claim no longer holds."""
        return self._submit(outcome)

    async def reveal(self, moment: int) -> None:
        """Let agents see every artifact whose time is over: so many at once that a group has room for others."""
        while due := await self.reads.due_hidden(moment, REVEALED_AT_ONCE):
            await asyncio.gather(*[self._submit(self.preparing.revealing(*one)) for one in due])

    async def sort_ledgers(self) -> None:
        """At start, before any call begins: calls of the last process are charged, ledgers of other rules renewed."""
        if await self.reads.ledger_rules() != self.budgets.digest:
            await self._submit(RenewLedgers(self.budgets.digest))
        while await self._submit(CloseLostCalls()):
            pass

    async def forget_ledgers(self, moment: int) -> None:
        """Delete the ledgers of what is over at this moment, a page in each transaction."""
        keys = await self.reads.ledgers_over(moment)
        while keys:
            await self._submit(ForgetLedgers(keys))
            before, keys = keys, await self.reads.ledgers_over(moment)
            if keys == before:  # somebody needs them: the next time
                return

    async def take_back(self) -> None:
        """At start: every run that was running when the process ended becomes ready, or dead at limits.run_crashes."""
        after: int | None = 0
        while after is not None:
            after = await self._submit(TakeBack(after))

    async def sort_orphans(self, queued_agents: Sequence[str]) -> None:
        """At start: ready runs without an agent wait for it; those whose agent is back are ready again."""
        missing = tuple(name for name in queued_agents if name not in self.agents)
        after: int | None = 0 if missing else None
        while after is not None:
            after = await self._submit(Orphan(after, missing))
        after = 0 if self.agents else None
        while after is not None:
            after = await self._submit(Adopt(after, tuple(self.agents)))
