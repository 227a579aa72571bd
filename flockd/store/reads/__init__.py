"""Everything that is read from the board, on read-only connections: `Reads`, one file for each noun."""

from flockd.store.reads.base import Total
from flockd.store.reads.batches import BatchReads, ItemResult
from flockd.store.reads.correlations import CorrelationReads
from flockd.store.reads.executions import Execution, ExecutionReads, ExecutionStatus
from flockd.store.reads.keys import KeyReads
from flockd.store.reads.lineage import GrownArtifact, GrownRun, LineageReads
from flockd.store.reads.log import LogPosition, LogReads
from flockd.store.reads.memory import MemoryReads
from flockd.store.reads.runs import ReadyRun, RunReads
from flockd.store.reads.summaries import SummaryReads
from flockd.store.reads.timers import TimerReads
from flockd.store.reads.usage import ModelUsage, UsageFilter, UsageReads
from flockd.store.reads.walk import ArtifactFilter
from flockd.store.records import Consumption

__all__ = [
    "ArtifactFilter",
    "Consumption",
    "Execution",
    "ExecutionStatus",
    "GrownArtifact",
    "GrownRun",
    "ItemResult",
    "LogPosition",
    "ModelUsage",
    "Reads",
    "ReadyRun",
    "Total",
    "UsageFilter",
]


class Reads(
    SummaryReads,
    CorrelationReads,
    BatchReads,
    MemoryReads,
    LineageReads,
    TimerReads,
    UsageReads,
    ExecutionReads,
    RunReads,
    LogReads,
    KeyReads,
):
    """All reads. Each waits for a connection, never for the writer; a malformed id is an unknown one."""
