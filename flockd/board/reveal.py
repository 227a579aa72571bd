"""After: an artifact becomes visible when its time is over, and wakes agents then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flockd.board.ending import settle_all
from flockd.board.pools import pools_of
from flockd.board.wake import wake_all
from flockd.domain.agent import Agent
from flockd.domain.artifact import Artifact, Draft
from flockd.domain.event import EventKind
from flockd.domain.visibility import After, visibility_to_json
from flockd.store.command import Needs
from flockd.store.state import State


@dataclass(frozen=True, slots=True)
class Reveal:
    """Let agents see an artifact whose time is over. Answers False where that was done, or is not to be any more."""

    artifact: Artifact
    draft: Draft
    """With the keys of those who gather it."""
    agents: Sequence[Agent]
    inside: bool = True

    def needs(self) -> Needs:
        return Needs(hidden=(self.artifact.seq,), pools=pools_of(self.draft))

    def decide(self, state: State) -> bool:
        hidden = state.hidden.get(self.artifact.seq)
        if hidden is None:
            return False
        before = self.artifact.visibility
        assert isinstance(before, After)
        visible = self.artifact._replace(visibility=before.then, was_hidden=visibility_to_json(before))
        correlation = state.correlations[hidden.correlation_id]
        place = state.reserve()  # what it sets off comes after it in the log
        runs, held = wake_all(state, correlation, self.agents, self.draft, self.artifact.seq, hidden.depth)
        state.reveal(hidden, visible)
        for kind, n in ((before.kind, -1), (before.then.kind, +1)):
            state.count("artifact", visible.type, visible.produced_by, kind, n=n, tenant=visible.tenant)
        state.emit(
            EventKind.artifact_visible,
            correlation,
            agent=self.artifact.produced_by if self.artifact.run_id else None,
            data={"woke": [run.id for run in runs], "held": held},
            artifact=visible,
            place=place,
        )
        for run in runs:
            state.announce(run)
        settle_all(state, correlation)
        return True
