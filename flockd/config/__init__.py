"""The configuration: every setting with its unit, default and reason, and the layers it is read from."""

from __future__ import annotations

from flockd.config.agent_tables import AgentTable
from flockd.config.budget_tables import BudgetTable
from flockd.config.llm_tables import ModelTable
from flockd.config.load import Config, ConfigError
from flockd.config.sections import (
    AuthSettings,
    LimitSettings,
    LlmSettings,
    LogSettings,
    ServerSettings,
    ShutdownSettings,
    StoreSettings,
    StreamSettings,
    SupervisorSettings,
    sqlite_path,
)
from flockd.config.service_keys import ServiceKeys
from flockd.config.tables import TABLES, FlowTable, PhaseTable, TypeTable, WorkflowTable
from flockd.config.timer_tables import ScheduleTable, TimerTable

__all__ = [
    "TABLES",
    "AgentTable",
    "AuthSettings",
    "BudgetTable",
    "Config",
    "ConfigError",
    "FlowTable",
    "LimitSettings",
    "LlmSettings",
    "LogSettings",
    "ModelTable",
    "PhaseTable",
    "ScheduleTable",
    "ServerSettings",
    "ServiceKeys",
    "ShutdownSettings",
    "StoreSettings",
    "StreamSettings",
    "SupervisorSettings",
    "TimerTable",
    "TypeTable",
    "WorkflowTable",
    "sqlite_path",
]
