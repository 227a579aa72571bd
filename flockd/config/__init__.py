"""The configuration: every setting with its unit, default and reason, and the layers it is read from."""

from __future__ import annotations

from flockd.config.load import Config, ConfigError
from flockd.config.sections import (
    AuthSettings,
    LimitSettings,
    LogSettings,
    ServerSettings,
    ShutdownSettings,
    StoreSettings,
    StreamSettings,
    SupervisorSettings,
    sqlite_path,
)
from flockd.config.tables import TABLES, AgentTable, FlowTable, PhaseTable, TypeTable, WorkflowTable
from flockd.config.timer_tables import ScheduleTable, TimerTable

__all__ = [
    "TABLES",
    "AgentTable",
    "AuthSettings",
    "Config",
    "ConfigError",
    "FlowTable",
    "LimitSettings",
    "LogSettings",
    "PhaseTable",
    "ScheduleTable",
    "ServerSettings",
    "ShutdownSettings",
    "StoreSettings",
    "StreamSettings",
    "SupervisorSettings",
    "TimerTable",
    "TypeTable",
    "WorkflowTable",
    "sqlite_path",
]
