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
    "ServerSettings",
    "ShutdownSettings",
    "StoreSettings",
    "StreamSettings",
    "SupervisorSettings",
    "TypeTable",
    "WorkflowTable",
    "sqlite_path",
]
