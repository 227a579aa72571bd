"""What agent authors write with: the flock, and how it reads their functions. It knows no HTTP and no SQL."""

from flockd.engines.base import Context
from flockd.engines.blocking import BlockingContext
from flockd.flock.declaration import DeclarationError
from flockd.flock.flock import Flock

__all__ = ["BlockingContext", "Context", "DeclarationError", "Flock"]
