"""What a verb is to the store: a command that names the rows it needs, and decides over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from flockd.domain.run import RunState
from flockd.store.records import PoolKey

if TYPE_CHECKING:
    from flockd.store.state import State

DUE_PAGE = 500
"""Of runs, pools and calls that one command takes up together."""


class Command(Protocol):
    """One verb."""

    @property
    def inside(self) -> bool:
        """Whether it comes from the daemon's own work: such a one is never refused by admission."""
        ...

    def needs(self) -> Needs: ...

    def decide(self, state: State) -> Any: ...


class Needs(NamedTuple):
    """The rows that a command names; the writer loads them for a whole group with one query per table."""

    correlations: tuple[str, ...] = ()
    """Ids; the oldest of what their ANDs hold comes with them."""
    runs: tuple[str, ...] = ()
    open_runs_of: tuple[str, ...] = ()
    """Correlations whose open runs are wanted; what of them is hidden or in pools is counted."""
    keys: tuple[bytes, ...] = ()
    """Digests of idempotency keys."""
    questions: tuple[str, ...] = ()
    """Ids, with their runs. The open questions of a run that waits for the answer come with it."""
    timers: tuple[str, ...] = ()
    """Names; the correlations that they began last come with them."""
    hidden: tuple[int, ...] = ()
    """Seqs of artifacts that are to become visible."""
    pools: tuple[PoolKey, ...] = ()
    """Pools into which an artifact goes: of each as much as its run may take."""
    due_before: int | None = None
    """Waiting runs, and pools, that are due at this moment, with their correlations, at most DUE_PAGE of each."""
    open_page: OpenPage | None = None
    """A page of open runs, with their correlations, for recovery."""
    calls_of: tuple[str, ...] = ()
    """Runs, named as such too, of which a call of a language model is to begin: the ledgers in which it will stand."""
    calls: tuple[str, ...] = ()
    """Ids of calls that are over, with the ledgers in which they stand."""
    lost_calls: bool = False
    """At most DUE_PAGE open calls, with their ledgers and their runs, for recovery."""


class OpenPage(NamedTuple):
    """Open runs in one state after `after` (an ord), at most `limit` of them; of these agents only, where given."""

    state: RunState
    after: int
    limit: int
    agents: tuple[str, ...] | None = None
