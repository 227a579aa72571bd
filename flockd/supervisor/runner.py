"""One run, from its claim to its outcome on the board."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import orjson

from flockd.board.board import Board
from flockd.board.outcome import Fail, Finish, Return
from flockd.domain.agent import Agent
from flockd.domain.artifact import Artifact
from flockd.domain.predicate import compile_where
from flockd.domain.retry import NEVER, delay_seconds, first_pause_seconds, kinds_of, meant
from flockd.domain.visibility import may_see
from flockd.engines.base import Context, Engine, Scope
from flockd.engines.outside import Outside
from flockd.errors import AgentFailed, BudgetExceeded, FlockdError, InvalidInput, Unavailable, nearest
from flockd.store.reads import ArtifactFilter
from flockd.supervisor.memory import RunMemory
from flockd.supervisor.work import Work, storable

log = logging.getLogger(__name__)

_QUERY_PAGE = 200
_QUERY_SCAN = 5_000
"""How many artifacts a query looks at most, whatever its predicate lets through."""
_MESSAGE_CHARACTERS = 4000
"""What is kept of an error's message: some exceptions quote all that they were given."""
_RECORD_RETRY_SECONDS = 0.5
"""How long an outcome that could not be stored waits before it is tried again."""

Outcome = Finish | Fail | Return


class Runner:
    """Runs engines under their limits and records what came of it."""

    def __init__(
        self,
        board: Board,
        engines: Mapping[str, Engine],
        *,
        retry_base_seconds: float,
        retry_max_seconds: float,
        value_bytes: int,
        outside: Outside,
        observe: Callable[[float, str], None],
    ) -> None:
        self._board = board
        self._outside = outside
        self._value_bytes = value_bytes
        self._engines = engines
        self._retry_base = retry_base_seconds
        self._retry_max = retry_max_seconds
        self._observe = observe

    async def work(self, work: Work, inputs: tuple[Artifact, ...] | None) -> bool:
        """Run the engine and record its outcome. Answers whether the run's place was given back with it."""
        work.entered = True
        if work.cancelled:
            return False
        outcome = self._return(work) if work.returning else await self._outcome(work, inputs)
        work.recording = True  # no await since the engine ended: from here on nobody cancels
        if outcome is None:
            return False
        work.flush_progress()
        stored = await self._record(work, outcome)
        self._observe(asyncio.get_running_loop().time() - work.began, _word(stored))
        return stored is not None and not (isinstance(stored, Fail) and not stored.releases)

    async def _outcome(self, work: Work, inputs: tuple[Artifact, ...] | None) -> Outcome | None:
        """How the attempt ended; None where somebody cancelled the run."""
        run, agent = work.run, work.agent
        timer = asyncio.get_running_loop().call_later(agent.timeout_seconds, work.time_out)
        try:
            try:
                if inputs is None:
                    inputs = await self._inputs(run.inputs)
                values = [self._board.types.named(one.type).parse(one.payload) for one in inputs]
            except InvalidInput as invalid:
                message = f"Its input does not fit: {invalid.message}"
                return self._failure(work, "INVALID_INPUT", message, final=True)
            outputs = await self._engines[agent.name].run(values, self._context(work, inputs), work.threads)
            if work.parked:  # it went on after its question: nobody waits for that
                return None
            if work.timed_out:  # it went on after its cancelling: late is late
                return self._timeout(work)
            return self._board.preparing.finishing(run, agent, inputs, outputs, work.text())
        except KeyboardInterrupt:
            raise
        except (
            BaseException
        ) as error:  # an author's code may raise anything; a run without outcome would hang
            if isinstance(error, GeneratorExit) and not _is_current(work.task):
                raise  # not the author's: what is left of this coroutine is being thrown away
            return self._ended_by(work, error)
        finally:
            timer.cancel()

    def _ended_by(self, work: Work, error: BaseException) -> Outcome | None:
        """What an exception means: if the engine was being stopped, that, whatever it made of its cancelling."""
        if work.cancelled or work.parked:
            return None
        if work.timed_out:
            return self._timeout(work)
        if work.returning:
            return self._return(work)
        cause = meant(error)
        if isinstance(cause, asyncio.CancelledError):
            return self._failure(work, "AGENT_FAILED", "It cancelled itself.")
        if isinstance(cause, AgentFailed):
            return self._failure(work, cause.code, cause.message, kinds=kinds_of(cause))
        if isinstance(cause, BudgetExceeded):
            return self._failure(work, cause.code, cause.message, final=True)
        run = work.run
        log.warning("agent %s failed (run %s, attempt %d)", run.agent, run.id, run.attempt, exc_info=error)
        return self._failure(work, "AGENT_FAILED", _told(cause), kinds=kinds_of(cause))

    def _return(self, work: Work) -> Return:
        run = work.run
        return Return(run.id, run.correlation_id, run.fence, work.text())

    async def hand_back(self, work: Work) -> None:
        """The daemon ends before the engine does: the run goes back to the queue, a late result is refused."""
        await self._record(work, self._return(work))

    async def give_up(self, work: Work) -> None:
        """Record the timeout of a run whose engine goes on."""
        await self._record(work, replace(self._timeout(work), releases=False))

    def _timeout(self, work: Work) -> Fail:
        message = f"It did not end within {work.agent.timeout_seconds:g} s."
        return self._failure(work, "TIMEOUT", message, "timeout", kinds=("timeout",))

    def _failure(
        self,
        work: Work,
        code: str,
        message: str,
        reason: str = "error",
        *,
        final: bool = False,
        kinds: Sequence[str] = (),
    ) -> Fail:
        """`kinds`: what the failure is called in the agent's `backoff`, the most particular first. `final`: whatever
        that says.
        """
        run, agent = work.run, work.agent
        failures = run.attempt - run.first_attempt + 1
        base = first_pause_seconds(kinds, agent.backoff, self._retry_base)
        final = final or base == NEVER
        delay = 0.0 if final else delay_seconds(failures, base, max(base, self._retry_max))
        return Fail(
            run.id,
            run.correlation_id,
            run.fence,
            code,
            storable(message[:_MESSAGE_CHARACTERS]),
            reason,
            int(delay * 1000),
            final,
            releases=not work.threads.alive,
            output_text=work.text(),
        )

    async def _record(self, work: Work, outcome: Outcome) -> Outcome | None:
        """Store the outcome, however long the store cannot write, and whatever cancels us meanwhile.

        Answers what was stored: a failure where the outcome is nothing that can be, None where the claim does
        not hold any more.
        """
        while True:
            try:
                future = self._board.end(outcome)
            except Unavailable:  # the writer has closed: the next start takes the run back
                return None
            while not future.done():
                try:
                    await asyncio.shield(future)
                except asyncio.CancelledError:
                    if future.cancelled():
                        raise
                except FlockdError:
                    break
            error = future.exception()
            if error is None:
                return outcome if future.result() else None
            if isinstance(error, Unavailable):
                await _pause()
                continue
            log.error("the outcome of run %s could not be stored: %s", outcome.run_id, error)
            if not isinstance(outcome, Finish):
                await _pause()
                continue
            outcome = self._failure(
                work, "AGENT_FAILED", "Its outcome could not be stored; the log says why."
            )

    async def _inputs(self, ids: Sequence[str]) -> tuple[Artifact, ...]:
        """Read again until the store answers: that it cannot is not the agent's failure."""
        while True:
            try:
                found = {artifact.id: artifact for artifact in await self._board.reads.artifacts_by_id(ids)}
                break
            except Exception as error:
                log.warning("the inputs of a run could not be read, trying again: %s", error)
                await asyncio.sleep(_RECORD_RETRY_SECONDS)
        missing = [one for one in ids if one not in found]
        if missing:
            raise InvalidInput(f"artifact {missing[0]} is no longer on the board")
        return tuple(found[one] for one in ids)

    def _context(self, work: Work, inputs: tuple[Artifact, ...]) -> Context:
        run = work.run
        return Context(
            agent=run.agent,
            correlation_id=run.correlation_id,
            run_id=run.id,
            attempt=run.attempt,
            inputs=inputs,
            on_progress=work.progress,
            on_write=work.write,
            query=partial(self._query, work.agent, run.correlation_id, run.tenant),
            memory=RunMemory(self._board, work, value_bytes=self._value_bytes),
            outside=self._outside,
        )

    async def _query(
        self,
        agent: Agent,
        correlation_id: str,
        tenant: str,
        type: str | None,
        where: str | None,
        limit: int,
        scope: Scope,
    ) -> list[Artifact]:
        """`ctx.query`: the newest artifacts that the agent may see and the predicate lets through, oldest first."""
        if type is not None and type not in self._board.types:
            near = nearest(type, self._board.types)
            hint = f": did you mean {near}?" if near else ""
            raise ValueError(f"query: there is no artifact type {type}{hint}")
        matches = None if where is None else compile_where(where)
        wanted = ArtifactFilter(
            types=() if type is None else (type,),
            correlation_id=correlation_id if scope == "correlation" else None,
            tenant=tenant,
        )
        found: list[Artifact] = []
        before: int | None = None
        seen = 0
        while len(found) < limit and seen < _QUERY_SCAN:
            page = await self._board.reads.artifacts(wanted, limit=_QUERY_PAGE, after=before, descending=True)
            seen += len(page)
            for artifact in page:
                if may_see(agent.viewer, artifact.visibility) and (
                    matches is None or matches(_document(artifact))
                ):
                    found.append(artifact)
            if len(page) < _QUERY_PAGE:
                break
            before = page[-1].seq
        return found[limit - 1 :: -1] if len(found) >= limit else found[::-1]


async def _pause() -> None:
    """Before an outcome is tried again; cancelling makes it shorter. It ends with the writer at the latest."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(_RECORD_RETRY_SECONDS)


def _is_current(task: asyncio.Task[None] | None) -> bool:
    """Whether this task is being run at the moment."""
    try:
        return asyncio.current_task() is task
    except RuntimeError:  # no loop runs
        return False


def _document(artifact: Artifact) -> object:
    return orjson.loads(artifact.payload)


def _word(stored: Outcome | None) -> str:
    if stored is None:
        return "superseded"
    return {"Finish": "completed", "Fail": "failed", "Return": "returned"}[type(stored).__name__]


def _told(error: BaseException) -> str:
    """An exception as a sentence, whatever its own `__str__` does."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__
