"""AgentError: the artifact that tells of a run that failed for good, to agents that subscribe to it."""

from __future__ import annotations

from pydantic import BaseModel, Field

from flockd.domain.artifact_type import ArtifactType


class AgentError(BaseModel):
    """A run failed for good."""

    agent: str = Field(description="Whose run it was.")
    run_id: str
    correlation_id: str
    code: str = Field(description="AGENT_FAILED, TIMEOUT, INVALID_INPUT, CRASHED, AGENT_MISSING, …")
    message: str
    attempt: int = Field(description="The last one, counted from 1.")
    inputs: list[str] = Field(description="Ids of the artifacts that it worked on.")


AGENT_ERROR = ArtifactType("AgentError", AgentError)
