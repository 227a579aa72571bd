"""What people do to work that exists: cancel it, empty the board; and the upkeep of idempotency keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from flockd.board.ending import end, settle
from flockd.board.memory import end_question
from flockd.board.pools import withdraw
from flockd.board.publication import Idempotency, keys_of, replay
from flockd.domain.batch import BatchItem, ItemState
from flockd.domain.correlation import Correlation, CorrelationState
from flockd.domain.event import EventKind
from flockd.domain.question import QuestionState
from flockd.domain.run import OPEN, Run, RunState
from flockd.errors import NotFound
from flockd.store.command import Needs
from flockd.store.state import State

LiveText = Callable[[str], str | None]
"""The end of a run's live text so far, by its id."""


@dataclass(frozen=True, slots=True)
class CancelRun:
    """End one run. Answers it, unchanged where it had ended."""

    run_id: str
    live_text: LiveText
    inside: bool = True

    def needs(self) -> Needs:
        return Needs(runs=(self.run_id,))

    def decide(self, state: State) -> Run:
        run = state.runs.get(self.run_id)
        if run is None:
            raise NotFound(f"Run not found: {self.run_id}")
        if run.state in OPEN:
            _cancel(state, run, self.live_text)
            correlation = state.correlations[run.correlation_id]
            correlation.round_cancelled += 1
            settle(state, correlation)
        return replace(run)


@dataclass(frozen=True, slots=True)
class CancelCorrelation:
    """End a workflow with everything under it. Answers it, unchanged where it had ended."""

    correlation_id: str
    live_text: LiveText
    inside: bool = True

    def needs(self) -> Needs:
        return Needs(open_runs_of=(self.correlation_id,))

    def decide(self, state: State) -> Correlation:
        correlation = state.correlations.get(self.correlation_id)
        if correlation is None:
            raise NotFound(f"Correlation not found: {self.correlation_id}")
        if correlation.state is CorrelationState.active:
            _cancel_all(state, correlation, self.live_text)
            _cancel_items(state, correlation, self.live_text)
            end(state, correlation, CorrelationState.cancelled)
        return replace(correlation)


@dataclass(frozen=True, slots=True)
class Exhaust:
    """A limit ends a workflow: what is open of it is cancelled, and it has failed with the reason that it carries."""

    correlation_id: str
    live_text: LiveText
    inside: bool = True

    def needs(self) -> Needs:
        return Needs(open_runs_of=(self.correlation_id,))

    def decide(self, state: State) -> None:
        correlation = state.correlations.get(self.correlation_id)
        if correlation is not None and correlation.state is CorrelationState.active and correlation.reason:
            _cancel_all(state, correlation, self.live_text)
            _cancel_items(state, correlation, self.live_text)
            settle(state, correlation)


@dataclass(frozen=True, slots=True)
class Reset:
    """Empty the board. The log's next seq stays, so no number is given out twice."""

    inside: bool = True

    def needs(self) -> Needs:
        return Needs()

    def decide(self, state: State) -> None:
        state.empty()


@dataclass(frozen=True, slots=True)
class KeepAnswer:
    """The final answer of a request whose key was written without one."""

    digest: bytes
    answer: bytes
    artifact_id: str
    """What the request put on the board: the key may have been freed and used again since."""
    inside: bool = True

    def needs(self) -> Needs:
        return Needs(keys=(self.digest,))

    def decide(self, state: State) -> None:
        record = state.keys.get(self.digest)
        if record is not None and record.answer is None and self.artifact_id in record.results:
            state.put_key(self.digest, record._replace(answer=self.answer))


@dataclass(frozen=True, slots=True)
class Recall:
    """Look for the final answer that a key was given before; None where it has none. Changes nothing."""

    idempotency: Idempotency
    inside: bool = False

    def needs(self) -> Needs:
        return Needs(keys=keys_of(self.idempotency))

    def decide(self, state: State) -> bytes | None:
        before = replay(state, self.idempotency)
        return None if before is None else before[1]


@dataclass(frozen=True, slots=True)
class FreeKeys:
    """Forget keys: of a direct run that answered an error, or (`older_than`, a moment) of requests long past."""

    digests: Sequence[bytes]
    older_than: int | None = None
    artifact_id: str = ""
    """Only the record of the request that put this on the board."""
    inside: bool = True

    def needs(self) -> Needs:
        return Needs(keys=tuple(self.digests))

    def decide(self, state: State) -> None:
        for digest in self.digests:
            record = state.keys.get(digest)
            if record is None or self.artifact_id not in record.results:
                continue
            if self.older_than is None or record.created_at < self.older_than:
                state.put_key(digest, None)


def _cancel(state: State, run: Run, live_text: LiveText) -> None:
    """Close one open run under a higher fence, so that whoever works on it can write nothing any more."""
    works = run.state is RunState.running and run.id not in state.started
    run.fence += 1
    end_question(state, run.id, QuestionState.cancelled)
    run.output_text = live_text(run.id) or run.output_text
    state.move(run, RunState.cancelled, releases=not works)
    if works:
        state.cancelled_runs.append(run.id)
    state.emit(
        EventKind.run_cancelled,
        state.correlations[run.correlation_id],
        run=run,
        data={"attempt": run.attempt},
    )


def _cancel_all(state: State, correlation: Correlation, live_text: LiveText) -> None:
    withdraw(state, correlation)
    state.to_settle.pop(correlation.id, None)  # how it ends is for the caller
    for run in [
        run for run in state.runs.values() if run.correlation_id == correlation.id and run.state in OPEN
    ]:
        _cancel(state, run, live_text)


def _cancel_items(state: State, correlation: Correlation, live_text: LiveText) -> None:
    """Of a batch in its first round, cancel what is in flight; what has not begun never will."""
    batch = state.batches.get(correlation.id)
    if batch is None or batch.is_over or correlation.round > 1:  # a limit ended it in its first round
        return
    for child in [one for one in state.correlations.values() if one.batch_id == correlation.id]:
        if child.state is CorrelationState.active and child.round == 1:
            _cancel_all(state, child, live_text)
            state.end_correlation(child, CorrelationState.cancelled)
            assert child.batch_item is not None, "whoever is of a batch has its place in it"
            state.put_item(BatchItem(batch.correlation_id, child.batch_item, ItemState.failed, child.id))
            batch.completed += 1
            batch.failed += 1
    state.waiting_items.pop(correlation.id, None)
    state.changed_batches[correlation.id] = batch
    correlation.open -= 1
