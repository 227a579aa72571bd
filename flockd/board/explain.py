"""The facts behind "why": what the log and the rows say of one artifact and one agent."""

from __future__ import annotations

from flockd.board.board import Board
from flockd.domain.artifact import Artifact
from flockd.domain.explanation import Explanation, Facts
from flockd.domain.explanation import explain as explain_facts
from flockd.domain.subscription import Candidate
from flockd.errors import InvalidInput, NotFound


async def explain(board: Board, artifact_id: str, agent_name: str, *, paused: bool) -> Explanation:
    """Why an artifact woke an agent, or did not. `paused`: the agent is.

    Raises NotFound for an unknown artifact, and for an agent that is not here and never had a run.
    """
    reads = board.reads
    artifact = await reads.artifact(artifact_id)
    if artifact is None:
        raise NotFound(f"Artifact not found: {artifact_id}")
    agent = board.agents.spelled(agent_name)
    name = agent_name if agent is None else agent.name
    if agent is None and not (await reads.runs(agent=name, limit=1))[0]:
        raise NotFound(f"Agent not found: {agent_name}")
    correlation = await reads.correlation(artifact.correlation_id)
    if correlation is None:  # the board was emptied meanwhile
        raise NotFound(f"Artifact not found: {artifact_id}")
    # What waits is read first: what begins in between is then found as a run.
    waiting = await reads.waiting_with(artifact, name)
    woke, held = await reads.woke(artifact) or ([], [name])
    run = await reads.run_among(woke, name) or await reads.run_on(artifact, name, beyond=name in held)
    other = None
    if run is not None and run.correlation_id != correlation.id:
        other = await reads.correlation(run.correlation_id)
    return explain_facts(
        Facts(
            name,
            agent,
            paused,
            _candidate(board, artifact),
            correlation,
            run,
            (other or correlation).paused,
            run is None and await _is_of_direct_run(board, artifact, woke, correlation.name),
            None if run else waiting,
            run is None and waiting is None and name in held and await reads.waited_in_vain(artifact, name),
        )
    )


def _candidate(board: Board, artifact: Artifact) -> Candidate | str:
    """A stored artifact as matching would see it today."""
    try:
        value = board.types.named(artifact.type).parse(artifact.payload)
    except InvalidInput as invalid:
        return invalid.message
    return Candidate(
        artifact.type, artifact.payload, value, artifact.produced_by, artifact.tags, artifact.visibility
    )


async def _is_of_direct_run(board: Board, artifact: Artifact, woke: list[str], started_as: str) -> bool:
    """Whether it came out of a run without cascade, or went into a direct run.

    A direct run's inputs wake it alone, and its workflow has its agent's name.
    """
    if artifact.run_id is not None:
        producer = await board.reads.run(artifact.run_id)
        return producer is not None and not producer.cascade
    if len(woke) != 1:
        return False
    run = await board.reads.run(woke[0])
    return run is not None and (not run.cascade or run.agent == started_as)
