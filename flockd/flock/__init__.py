"""What agent authors write with: the flock, and how it reads their functions. It knows no HTTP and no SQL."""

from flockd.engines.base import Context
from flockd.engines.blocking import BlockingContext
from flockd.engines.fan_out import FanOut
from flockd.engines.llm.thinking import McpServer, Seen
from flockd.engines.memory import QuestionExpired, RunSuperseded
from flockd.flock.declaration import DeclarationError
from flockd.flock.flock import Flock
from flockd.flock.flock_agent import FlockAgent, FlockFactory
from flockd.flock.flock_api import FlockAPI

__all__ = [
    "BlockingContext",
    "Context",
    "DeclarationError",
    "FanOut",
    "Flock",
    "FlockAPI",
    "FlockAgent",
    "FlockFactory",
    "McpServer",
    "QuestionExpired",
    "RunSuperseded",
    "Seen",
]
