"""Tests of flocks without a network: a board of one's own, models that say what the test wants, time that passes when
told to. It works in any test runner, and without one."""

from flockd.testing.artifact import BoardArtifact
from flockd.testing.clock import Clock
from flockd.testing.local_board import LocalBoard, flock_test
from flockd.testing.recorded import RecordedModel
from flockd.testing.scripted import Asked, ScriptedModel, ToolCall, Unscripted

__all__ = [
    "Asked",
    "BoardArtifact",
    "Clock",
    "LocalBoard",
    "RecordedModel",
    "ScriptedModel",
    "ToolCall",
    "Unscripted",
    "flock_test",
]
