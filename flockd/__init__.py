"""flockd: an agent orchestration server. What agent authors import is here; everything else is the daemon."""

__version__ = "0.1.0"

from flockd.domain.agent_error import AgentError
from flockd.domain.budget import Budget
from flockd.domain.gathering import BatchSpec, JoinSpec
from flockd.domain.retry import NonRetryableError
from flockd.domain.schedule import Cron, Daily, Every, Once
from flockd.domain.visibility import After, Labelled, Private, Public, Tenant
from flockd.flock import (
    BlockingContext,
    Context,
    DeclarationError,
    FanOut,
    Flock,
    FlockAgent,
    FlockAPI,
    FlockFactory,
    McpServer,
    QuestionExpired,
    RunSuperseded,
    Seen,
)

__all__ = [
    "After",
    "AgentError",
    "BatchSpec",
    "BlockingContext",
    "Budget",
    "Context",
    "Cron",
    "Daily",
    "DeclarationError",
    "Every",
    "FanOut",
    "Flock",
    "FlockAPI",
    "FlockAgent",
    "FlockFactory",
    "JoinSpec",
    "Labelled",
    "McpServer",
    "NonRetryableError",
    "Once",
    "Private",
    "Public",
    "QuestionExpired",
    "RunSuperseded",
    "Seen",
    "Tenant",
    "__version__",
]
