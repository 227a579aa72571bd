"""What a run settles once: the results of its steps, its questions and their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import orjson

from flockd.board.outcome import Fenced
from flockd.board.publication import Idempotency, keys_of, remember, replay
from flockd.domain.event import EventKind
from flockd.domain.identity import new_id
from flockd.domain.moment import iso
from flockd.domain.question import Question, QuestionState
from flockd.domain.run import Run, RunState, WaitReason
from flockd.errors import Conflict, NotFound
from flockd.store.command import Needs
from flockd.store.records import Step
from flockd.store.state import State


@dataclass(frozen=True, slots=True)
class RecordStep(Fenced):
    """The result of a step, kept for every later start of the run. Answers False if superseded."""

    name: str
    value: bytes
    """JSON."""
    tool: bytes | None = None
    """JSON data of a `tool.called` event, where the step is a tool that a language model called."""

    def decide(self, state: State) -> bool:
        run = self.held(state)
        if run is None:
            return False
        state.steps.append(Step(run.id, self.name, self.value, state.now))
        if self.tool is not None:
            _tell_tool(state, run, self.tool)
        return True


@dataclass(frozen=True, slots=True)
class TellTool(Fenced):
    """A language model called a tool, and the attempt ended in the call: no step. Answers False if superseded."""

    data: bytes
    """JSON."""

    def decide(self, state: State) -> bool:
        run = self.held(state)
        if run is None:
            return False
        _tell_tool(state, run, self.data)
        return True


@dataclass(frozen=True, slots=True)
class Ask(Fenced):
    """A question, for whose answer the run waits without a place. Answers False if superseded."""

    key: str
    text: str
    schema: bytes
    timeout_ms: int | None

    def decide(self, state: State) -> bool:
        run = self.held(state)
        if run is None:
            return False
        due_at = None if self.timeout_ms is None else state.clock + self.timeout_ms
        correlation = state.correlations[run.correlation_id]
        question = Question(
            state.next_seq,
            new_id(),
            run.id,
            run.agent,
            run.correlation_id,
            self.key,
            self.text,
            self.schema,
            QuestionState.open,
            run.attempt,
            state.now,
            due_at,
            tenant=run.tenant,
        )
        state.put_question(question)
        state.emit(
            EventKind.question_asked,
            correlation,
            run=run,
            data={
                "question_id": question.id,
                "key": self.key,
                "text": self.text,
                "schema": orjson.Fragment(self.schema),
                "due_at": None if due_at is None else iso(due_at),
            },
        )
        state.move(run, RunState.waiting, releases=False)  # its engine stops after this
        state.park(run, WaitReason.question, due_at)
        state.emit(
            EventKind.run_waiting,
            correlation,
            run=run,
            data={"reason": run.reason, "due_at": None if due_at is None else iso(due_at)},
        )
        return True


class Answered(NamedTuple):
    """A question that has its answer."""

    question: Question
    replayed: bool = False
    """This key was used before: nothing new was stored."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an open question: its run starts again. Answers Answered."""

    question_id: str
    answer: bytes
    """Valid JSON of the question's schema."""
    answered_by: str
    idempotency: Idempotency | None = None
    inside: bool = False

    def needs(self) -> Needs:
        return Needs(
            questions=(self.question_id,),
            keys=keys_of(self.idempotency),
        )

    def decide(self, state: State) -> Answered:
        question = state.questions.get(self.question_id)
        if question is None:
            raise NotFound(f"Question not found: {self.question_id}")
        if replay(state, self.idempotency) is not None:
            return Answered(question.copy(), replayed=True)  # which does not change any more
        if question.state is not QuestionState.open:
            raise Conflict(f"Question {question.id} is {question.state}; only open ones can be answered.")
        question.answer = self.answer
        question.answered_by = self.answered_by
        close_question(state, question, QuestionState.answered)
        run = state.runs[question.run_id]
        state.start_or_queue(run)
        state.announce(run)
        remember(state, self.idempotency, ())
        return Answered(question.copy())


def _tell_tool(state: State, run: Run, data: bytes) -> None:
    correlation = state.correlations[run.correlation_id]
    state.emit(EventKind.tool_called, correlation, run=run, data=orjson.Fragment(data))


def close_question(state: State, question: Question, ended: QuestionState) -> None:
    """An open question ends; what becomes of its run is for the caller."""
    question.state = ended
    question.answered_at = state.now if ended is QuestionState.answered else None
    state.put_question(question)
    run = state.runs[question.run_id]
    state.emit(
        EventKind.question_answered,
        state.correlations[question.correlation_id],
        run=run,
        data={
            "question_id": question.id,
            "key": question.key,
            "state": ended,
            "answer": None if question.answer is None else orjson.Fragment(question.answer),
            "answered_by": question.answered_by,
        },
    )


def end_question(state: State, run_id: str, ended: QuestionState) -> None:
    """Close the one that a run may have open: its time ran out, or it was cancelled."""
    question = state.asked.get(run_id)
    if question is not None and question.state is QuestionState.open:
        close_question(state, question, ended)
