"""A board under test: a whole flock at work, without a network, whose time passes when the test says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Literal

import orjson
from pydantic_core import to_json

from flockd.board import Publication, Published
from flockd.config import Config
from flockd.domain import duration
from flockd.domain.agent import Agent
from flockd.domain.artifact_type import ArtifactType
from flockd.domain.correlation import CorrelationState
from flockd.domain.event import LIVE_ONLY, EventKind
from flockd.domain.identity import parse_id
from flockd.domain.priority import Priority
from flockd.domain.question import Question
from flockd.domain.run import OPEN, RunState
from flockd.domain.visibility import PUBLIC, AnyVisibility
from flockd.engines.outside import Outside
from flockd.errors import AgentFailed, InvalidInput, NotFound, nearest
from flockd.flock import Flock
from flockd.flock.declared_types import TypeChoice
from flockd.loading import outside_of
from flockd.store.reads import ArtifactFilter
from flockd.testing.artifact import BoardArtifact
from flockd.testing.clock import Clock
from flockd.testing.machine import Machine, machine
from flockd.testing.passage import LOOKS_AT_A_MOMENT, Passage
from flockd.testing.services import ServiceForTests, use_services
from flockd.testing.stand_ins import ModelForTests, use_models

LIMIT_SECONDS = 10.0
"""How long a test waits, in real seconds, for agents that do not end."""
_PAGE = 500
_LOGGED = frozenset(kind.value for kind in EventKind) - LIVE_ONLY
_WHOLE = 1 << 40
"""Bytes of a payload inside an event: all."""


@asynccontextmanager
async def flock_test(
    flock: Flock,
    *,
    model: ModelForTests | None = None,
    models: Mapping[str, ModelForTests] | None = None,
    services: Mapping[str, ServiceForTests] | None = None,
    now: datetime | str | None = None,
    config: Config | None = None,
) -> AsyncIterator[LocalBoard]:
    """The flock at work on an empty board of its own, until the block ends.

    Agents that think with a language model ask `models` by the name of theirs, else `model`; those that are services
    ask `services` by their own name. Where there is none their runs fail. Time stands at `now` (without it: the
    present) and passes by `advance`. `config` has the settings; none are read from files or the environment. Raises
    DeclarationError where the flock is declared wrongly.
    """
    settings = config or Config()
    outside = outside_of(settings)
    use_models(flock, outside, model, models or {})
    use_services(flock, outside, services or {})
    board = LocalBoard(flock, Clock(now))
    async with board.at_work(settings, outside):
        yield board


class LocalBoard:
    """What a test does with a flock at work, and sees of it; `flock_test` makes one."""

    def __init__(self, flock: Flock, clock: Clock) -> None:
        self.flock = flock
        self.clock = clock
        self._types = flock.types()
        self._machine: Machine | None = None
        self._passage: Passage

    @asynccontextmanager
    async def at_work(self, config: Config, outside: Outside) -> AsyncIterator[None]:
        """Start the flock, and end it when the block ends."""
        async with machine(self.flock, config, outside, clock=self.clock) as self._machine:
            self._passage = Passage(self._machine, self.clock)
            await self._passage.look_at_clock()
            yield

    # -- work -----------------------------------------------------------------------------------------------

    async def publish(
        self,
        value: Any,
        *,
        type: TypeChoice | None = None,
        tags: tuple[str, ...] | list[str] = (),
        partition_key: str | None = None,
        visibility: AnyVisibility = PUBLIC,
        correlation_id: str | None = None,
        priority: Literal["low", "normal", "high", "critical"] | None = None,
    ) -> BoardArtifact:
        """Publish an artifact as a client does, and return it when it is on the board.

        `value` is an instance of the type's class; plain data needs its `type`. Raises InvalidInput.
        """
        if correlation_id is not None and parse_id(correlation_id) is None:
            raise InvalidInput(f"correlation_id is {correlation_id!r}: give it a UUID")
        wanted = self._publication(value, type)._replace(
            tags=tuple(tags),
            partition_key=partition_key,
            visibility=visibility,
            correlation_id=None if correlation_id is None else parse_id(correlation_id),
            priority=None if priority is None else Priority[priority],
        )
        published = await self._works.board.publish(wanted)
        artifact = await self._works.reads.artifact(published.artifact_id)
        assert artifact is not None, "what was published is on the board"
        return BoardArtifact.of(artifact, self._types)

    async def run(self, value: Any, *, type: TypeChoice | None = None) -> list[BoardArtifact]:
        """Publish an artifact, and return what agents made of it when the workflow has ended.

        Time passes by itself as far as the workflow waits for it: retries come at once. Raises AgentFailed where an
        agent failed for good, or where the workflow waits for a person.
        """
        published = await self._works.board.publish(self._publication(value, type))
        return await self._outcome(published)

    async def run_agent(self, agent: str, *inputs: Any) -> list[BoardArtifact]:
        """Let one agent run on these inputs, and return what it made; that wakes nobody. Raises as `run`."""
        found = self._agent(agent)
        publications = [self._publication(value, None) for value in inputs]
        return await self._outcome(await self._works.board.run_agent(found, publications))

    async def answer(self, answer: Any, question: Question | str | None = None) -> None:
        """Answer a question, an id or one of `questions()`; without it the only one that is open.

        Raises InvalidInput where its schema refuses the answer, or where there is not one open question.
        """
        if not isinstance(question, Question):
            open_now = [one for one in await self.questions() if question in (None, one.id)]
            if len(open_now) != 1:
                raise InvalidInput(
                    f"{len(open_now) or 'no'} questions are open: say which one is answered"
                    if question is None
                    else f"there is no open question {question}"
                )
            (question,) = open_now
        await self._works.board.answer_question(question, to_json(answer), "test")

    async def cancel(self, what: BoardArtifact | str) -> None:
        """Cancel the workflow of an artifact, or of this id. Raises NotFound."""
        given = what if isinstance(what, str) else what.correlation_id
        known = parse_id(given)
        if known is None:
            raise NotFound(f"{given!r} is no id of a workflow")
        await self._works.board.cancel_correlation(known)

    # -- time -----------------------------------------------------------------------------------------------

    async def advance(self, by: str | float | timedelta) -> None:
        """Let time pass ("2h", "30s", a number of seconds): all that is due meanwhile happens, each at its moment.

        Before each moment, and at the end, it waits until no agent works but those that sleep; for one that waits for
        something else, at most a second.
        """
        await self._passage.advance_to(self.clock.now + round(duration.seconds(by) * 1000))

    async def idle(self, limit_seconds: float = LIMIT_SECONDS) -> None:
        """Wait until nothing works and nothing is about to start.

        What waits for time, a person or other artifacts goes on waiting. Raises TimeoutError, which says who still
        works, after so many real seconds.
        """
        if not await self._passage.until(self._passage.is_idle, limit_seconds):
            raise TimeoutError(self._passage.busy(limit_seconds))

    # -- what is there --------------------------------------------------------------------------------------

    async def artifacts(
        self,
        type: TypeChoice | None = None,
        *,
        produced_by: str | None = None,
        correlation_id: str | None = None,
        tag: str | None = None,
    ) -> list[BoardArtifact]:
        """The artifacts on the board, in the order in which they came."""
        wanted = ArtifactFilter(
            types=() if type is None else (self._type(type).name,),
            produced_by=() if produced_by is None else (produced_by,),
            correlation_id=correlation_id,
            tags=() if tag is None else (tag,),
        )
        found: list[BoardArtifact] = []
        while page := await self._works.reads.artifacts(
            wanted, limit=_PAGE, after=found[-1].seq if found else None
        ):
            found += (BoardArtifact.of(artifact, self._types) for artifact in page)
        return found

    async def questions(self) -> list[Question]:
        """The questions that are open, the oldest first."""
        found, _ = await self._works.reads.questions(state="open", limit=_PAGE)
        return found[::-1]

    async def runs(self, agent: str | None = None, *, state: str | None = None) -> list[dict[str, Any]]:
        """The runs in the order in which they began, as the API shows them.

        Raises InvalidInput for an agent or a state that there is not: a test that looks for it would see nothing.
        """
        if state is not None and state not in set(RunState):
            raise InvalidInput(f"{state!r} is no state of a run: it is one of {', '.join(RunState)}")
        name = None if agent is None else self._agent(agent).name
        found, _ = await self._works.reads.runs(agent=name, state=state, limit=_PAGE)
        return [_plain(run.document()) for run in reversed(found)]

    def events(
        self, kind: str | None = None, *, agent: str | None = None, correlation_id: str | None = None
    ) -> list[dict[str, Any]]:
        """The log, in order, as streams send it. Live text is not in it: see `text`.

        Raises InvalidInput for a kind or an agent that there is not: a test that looks for it would see nothing.
        """
        if kind is not None and kind not in _LOGGED:
            near = nearest(kind, _LOGGED)
            hint = f": did you mean {near}?" if near else ""
            raise InvalidInput(f"there is no event of the kind {kind} in the log{hint}")
        name = None if agent is None else self._agent(agent).name
        return [
            orjson.loads(event.encode(_WHOLE))
            for event in self._works.events
            if kind in (None, event.kind)
            and name in (None, event.agent)
            and correlation_id in (None, event.correlation_id)
        ]

    def text(self, agent: str) -> str:
        """The live text of an agent's runs, all that it wrote so far. Raises InvalidInput for an unknown agent."""
        name = self._agent(agent).name
        return "".join(orjson.loads(event.data)["text"] for event in self._works.live if event.agent == name)

    # -- within ---------------------------------------------------------------------------------------------

    @property
    def _works(self) -> Machine:
        assert self._machine is not None, "flock_test has started it"
        self._machine.check()
        return self._machine

    def _agent(self, name: str) -> Agent:
        """The agent that a test names. Raises InvalidInput."""
        known = self._works.board.agents
        found = known.spelled(name)
        if found is None:
            near = nearest(name, known)
            raise InvalidInput(f"there is no agent {name}" + (f": did you mean {near}?" if near else ""))
        return found

    def _publication(self, value: Any, type: TypeChoice | None) -> Publication:
        kind = self._type(value.__class__ if type is None else type)
        return Publication(kind.name, to_json(value) if kind.model is None else kind.dump(kind.check(value)))

    def _type(self, choice: TypeChoice) -> ArtifactType:
        """The type that a test names, by its name or its class. Raises InvalidInput."""
        if isinstance(choice, str):
            return self._types.named(choice)
        for kind in self._types.values():
            if choice in (kind, kind.model):
                return kind
        name = getattr(choice, "__name__", repr(choice))
        raise InvalidInput(f"{name} is no artifact type of this flock: name one with type=")

    async def _outcome(self, published: Published) -> list[BoardArtifact]:
        """What a workflow made, when it has ended; time passes for it."""

        def is_over() -> bool:
            return self._works.ended[published.correlation_id] >= published.round

        passage, looks = self._passage, Counter[int]()
        while True:
            if not await passage.until(lambda: is_over() or passage.is_idle(), LIMIT_SECONDS):
                raise TimeoutError(self._passage.busy(LIMIT_SECONDS))
            if is_over():
                break
            due_at = await passage.next_moment(firings=False)
            if due_at is None or looks[due_at] == LOOKS_AT_A_MOMENT:
                raise AgentFailed(await self._waits_for(published.correlation_id))
            looks[due_at] += 1
            await passage.advance_to(due_at)
        found = await self._works.reads.round(published.correlation_id, published.round)
        correlation = await self._works.reads.correlation(published.correlation_id)
        assert found is not None and correlation is not None, "it has ended"
        for agent, error in found.errors:
            failure = orjson.loads(error)
            raise AgentFailed(f"{agent} failed: {failure['message']}", details={"agent": agent, **failure})
        if correlation.state is not CorrelationState.completed:
            raise AgentFailed(
                f"the workflow ended as {correlation.state}: {correlation.reason or 'cancelled'}"
            )
        return [BoardArtifact.of(artifact, self._types) for artifact in found.artifacts]

    async def _waits_for(self, correlation_id: str) -> str:
        """Why a workflow does not end, whatever time passes."""
        for question in await self.questions():
            if question.correlation_id == correlation_id:
                return f"{question.agent} asks {question.text!r}: publish, answer and wait for idle in flock_test"
        found, _ = await self._works.reads.runs(correlation_id=correlation_id, limit=_PAGE)
        waiting = {run.agent for run in found if run.state in OPEN}
        return f"the workflow does not end by itself: {' and '.join(sorted(waiting)) or 'it'} is paused"


def _plain(document: Any) -> Any:
    return orjson.loads(orjson.dumps(document))
