"""The only door through which state changes. A verb is a command and a pure decide; the writer runs them in groups."""

from flockd.board.board import Board
from flockd.board.explain import explain
from flockd.board.publication import Idempotency, Publication, Published
from flockd.board.publish import PublishedMany
from flockd.board.redrive import Redriven

__all__ = ["Board", "Idempotency", "Publication", "Published", "PublishedMany", "Redriven", "explain"]
