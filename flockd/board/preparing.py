"""What is made ready outside the transaction: publications, outputs and firings are parsed, validated and matched here.

All of it works on immutable values and changes nothing, so it may happen on the loop, in any order and in vain.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

import orjson

from flockd.board.batch import Inputs
from flockd.board.outcome import Finish
from flockd.board.publication import Prepared, Publication
from flockd.board.reveal import Reveal
from flockd.board.timers import Firing
from flockd.domain.agent import Agent, Agents
from flockd.domain.agent_error import AGENT_ERROR, AgentError
from flockd.domain.artifact import EXTERNAL, Artifact, Draft
from flockd.domain.artifact_type import ArtifactType, Types
from flockd.domain.gathering import BatchSpec
from flockd.domain.identity import new_id
from flockd.domain.question import Question
from flockd.domain.run import Run
from flockd.domain.subscription import Candidate, Matcher
from flockd.domain.timer import Publishes, Timer
from flockd.domain.visibility import After, may_see, narrowest
from flockd.errors import AgentFailed, FieldProblem, FlockdError, InvalidInput

log = logging.getLogger(__name__)


class Value(Protocol):
    """A value that a run produced, with the name of its type."""

    @property
    def type(self) -> str: ...

    @property
    def value(self) -> Any: ...


class Preparing:
    """Makes commands ready by the types, the agents and the limits of this daemon, none of which ever change."""

    def __init__(self, types: Types, agents: Agents, *, run_outputs: int, output_bytes: int) -> None:
        self._types = types
        self._matcher = Matcher(agents.values())
        self._run_outputs = run_outputs
        self._output_bytes = output_bytes

    # -- what comes from outside ----------------------------------------------------------------------------

    def publication(self, publication: Publication, *, match: bool = True) -> Prepared:
        """A client's artifact, validated against its type, with the agents that it wakes. Raises InvalidInput."""
        artifact_type = self._types.named(publication.type)
        value = artifact_type.parse(publication.payload)
        draft = self._draft(publication, EXTERNAL, value)
        draft, agents = self._match(draft, value) if match else (draft, ())
        return Prepared(
            draft,
            agents,
            publication.correlation_id or new_id(),
            publication.priority,
            publication.correlation_is_new or publication.correlation_id is None,
        )

    def direct(self, agent: Agent, inputs: Sequence[Publication], correlation_id: str) -> list[Prepared]:
        """The inputs of a direct run, in the order of the agent's types; they wake nobody. Raises InvalidInput."""
        ordered = in_order(agent, inputs)
        for one in ordered:
            if not may_see(agent.viewer, one.visibility):
                raise InvalidInput.field(
                    "inputs", f"{agent.name} may not see a {one.type} with this visibility"
                )
        return [self.publication(one._replace(correlation_id=correlation_id), match=False) for one in ordered]

    def item(self, agent: Agent, inputs: Sequence[Publication]) -> Inputs:
        """The inputs of an item of a batch, in the order of the agent's types. Raises InvalidInput."""
        return [self._checked(one) for one in in_order(agent, inputs)]

    def _checked(self, publication: Publication) -> tuple[str, bytes, int]:
        """(type, payload, version) of a valid input."""
        artifact_type = self._types.named(publication.type)
        payload = artifact_type.dump(artifact_type.parse(publication.payload))
        return publication.type, payload, artifact_type.version

    @staticmethod
    def check_answer(question: Question, answer: bytes) -> None:
        """Raises InvalidInput where the schema of a question refuses an answer, which is JSON."""
        shape = ArtifactType("answer", schema=orjson.loads(question.schema))
        try:
            shape.parse(answer)
        except InvalidInput as invalid:
            raise InvalidInput.of(
                [
                    FieldProblem("answer" + one["field"].removeprefix("payload"), one["message"], one["code"])
                    for one in (invalid.details or {})["errors"]
                ]
            ) from None

    # -- what comes from the daemon's own work --------------------------------------------------------------

    def finishing(
        self,
        run: Run,
        agent: Agent,
        inputs: Sequence[Artifact],
        outputs: Sequence[Value],
        output_text: str | None,
    ) -> Finish:
        """The command that ends a run well. Raises AgentFailed where its outputs are not what it may publish."""
        if len(outputs) > self._run_outputs:
            raise AgentFailed(
                f"{agent.name} returned {len(outputs)} artifacts; limits.run_outputs is {self._run_outputs}."
            )
        tags = tuple(dict.fromkeys([*_shared_tags(inputs), *agent.tags]))
        visibility = agent.visibility or narrowest([one.visibility for one in inputs])
        partition_keys = {one.partition_key for one in inputs}
        partition_key = partition_keys.pop() if len(partition_keys) == 1 else None
        placed: list[tuple[Draft, tuple[Agent, ...]]] = []
        size = 0
        for output in outputs:
            publication = Publication(output.type, b"", tags, partition_key, visibility, run.correlation_id)
            try:
                value = self._types.named(output.type).check(output.value)
                draft = self._draft(publication, agent.name, value)
            except InvalidInput as invalid:
                raise AgentFailed(
                    f"{agent.name} returned an invalid {output.type}: {invalid.message}"
                ) from None
            size += len(draft.payload)
            placed.append(self._match(draft, value) if run.cascade else (draft, ()))
        if size > self._output_bytes:
            raise AgentFailed(
                f"{agent.name} returned {size} bytes; limits.output_bytes is {self._output_bytes}.",
                is_final=True,  # its steps and answers of models are recorded: it would return the same
            )
        return Finish(run.id, run.correlation_id, run.fence, tuple(inputs), placed, output_text)

    def revealing(self, artifact: Artifact, wakes: bool) -> Reveal:
        """The command that lets agents see an artifact; `wakes` False: a direct run without a cascade published it.

        It wakes nobody either where it is not to be matched: it does not fit its type any more, or what an author wrote
        raises.
        """
        assert isinstance(artifact.visibility, After)
        draft = Draft(
            artifact.id,
            artifact.type,
            artifact.payload,
            artifact.produced_by,
            artifact.partition_key,
            artifact.tags,
            artifact.visibility.then,
            artifact.version,
        )
        if not wakes:
            return Reveal(artifact, draft, ())
        try:
            value = self._types.named(artifact.type).parse(artifact.payload)
            return Reveal(artifact, *self._match(draft, value))
        except Exception as error:
            log.warning("artifact %s is visible now and wakes nobody: %s", artifact.id, error)
            return Reveal(artifact, draft, ())

    def tell_death(self, run: Run) -> tuple[Draft, tuple[Agent, ...]] | None:
        """The AgentError of a run that has just died; None where no agent subscribes to it. Called by the writer."""
        if not self._matcher.subscribes(AGENT_ERROR.name) or AGENT_ERROR.name not in self._types:
            return None
        error = orjson.loads(run.error or b"{}")
        told = AgentError(
            agent=run.agent,
            run_id=run.id,
            correlation_id=run.correlation_id,
            code=error.get("code", ""),
            message=error.get("message", ""),
            attempt=run.attempt,
            inputs=list(run.inputs),
        )
        publication = Publication(AGENT_ERROR.name, correlation_id=run.correlation_id)
        return self._match(self._draft(publication, run.agent, told), told)

    def firing(self, timer: Timer) -> Firing:
        """What a timer does now. A payload that its type refuses is a workflow that has failed from the start."""
        target = timer.target
        if not isinstance(target, Publishes):
            return Firing(timer, None)
        publication = Publication(
            target.type, target.payload, target.tags, target.partition_key, target.visibility
        )
        try:
            return Firing(timer, self.publication(publication))
        except Exception as error:  # a type's own validators may raise anything; the clock goes on
            log.warning("timer %s cannot publish its %s", timer.name, target.type, exc_info=error)
            reason = error.message if isinstance(error, FlockdError) else type(error).__name__
            return Firing(timer, f"Its {target.type} cannot be published: {reason}")

    # -- what they share ------------------------------------------------------------------------------------

    def _draft(self, publication: Publication, producer: str, value: Any) -> Draft:
        artifact_type = self._types[publication.type]
        return Draft(
            new_id(),
            publication.type,
            artifact_type.dump(value),
            producer,
            publication.partition_key,
            publication.tags,
            publication.visibility,
            artifact_type.version,
        )

    def _match(self, draft: Draft, value: Any) -> tuple[Draft, tuple[Agent, ...]]:
        """The agents that it wakes, and the draft with its keys for those that gather it."""
        candidate = Candidate(
            draft.type, draft.payload, value, draft.produced_by, draft.tags, draft.visibility
        )
        agents = self._matcher.match(candidate)
        keys, places = self._matcher.keys(candidate, agents), self._matcher.places(candidate, agents)
        return (draft._replace(keys=keys, places=places) if keys or places else draft), agents


def _shared_tags(inputs: Sequence[Artifact]) -> tuple[str, ...]:
    """The tags that all inputs carry, in the order of the first."""
    if not inputs:
        return ()
    first, *others = inputs
    return tuple(tag for tag in first.tags if all(tag in other.tags for other in others))


def in_order(agent: Agent, inputs: Sequence[Publication]) -> list[Publication]:
    """The inputs of a direct run in the order of the agent's types. Raises InvalidInput with what it takes."""
    subscription = agent.subscription
    if isinstance(subscription.gathering, BatchSpec):
        size = subscription.gathering.size
        if 1 <= len(inputs) <= size and all(one.type in subscription.types for one in inputs):
            return list(inputs)
        raise InvalidInput.field(
            "inputs", f"{agent.name} takes 1 to {size} artifacts: {' or '.join(subscription.types)}"
        )
    if subscription.mode == "any":
        if len(inputs) == 1 and inputs[0].type in subscription.types:
            return list(inputs)
        raise InvalidInput.field(
            "inputs", f"{agent.name} takes one artifact: {' or '.join(subscription.types)}"
        )
    left = list(inputs)
    ordered: list[Publication] = []
    for name in subscription.types:
        found = next((one for one in left if one.type == name), None)
        if found is not None:
            left.remove(found)
            ordered.append(found)
    if left and not subscription.types:
        raise InvalidInput.field("inputs", f"{agent.name} takes no artifact")
    if left or len(ordered) != len(subscription.types):
        raise InvalidInput.field(
            "inputs", f"{agent.name} takes {' and '.join(subscription.types)}, one artifact of each"
        )
    return ordered
