"""flockd: an agent orchestration server. What agent authors import is here; everything else is the daemon."""

__version__ = "0.1.0"

from flockd.domain.visibility import Labelled, Private, Public, Tenant
from flockd.flock import (
    BlockingContext,
    Context,
    DeclarationError,
    Flock,
    FlockAgent,
    FlockAPI,
    FlockFactory,
)

__all__ = [
    "BlockingContext",
    "Context",
    "DeclarationError",
    "Flock",
    "FlockAPI",
    "FlockAgent",
    "FlockFactory",
    "Labelled",
    "Private",
    "Public",
    "Tenant",
    "__version__",
]
