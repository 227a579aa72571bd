"""The table `[[timers]]`, and a schedule as a table: when something starts without an artifact."""

from __future__ import annotations

from datetime import date
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from flockd.config.sections import Section

_SCHEDULES = ("every", "daily", "once", "cron")


class ScheduleTable(Section):
    """When something starts: one of every, daily, once and cron, and how exactly."""

    every: str | None = Field(default=None, description='Again and again after this interval, as "5m".')
    daily: str | None = Field(default=None, description='Once a day at this time, as "09:00".')
    once: str | None = Field(default=None, description="At this moment, ISO 8601.")
    cron: str | None = Field(default=None, description="At the moments of this cron expression.")
    tz: str | None = Field(default=None, description="The time zone of daily and cron. Without it: UTC.")
    jitter: str | None = Field(
        default=None, description="Each firing comes up to this much later, by chance."
    )
    catch_up: Literal["skip", "once"] | None = Field(
        default=None, description="What becomes of moments that passed while no daemon ran. Without it: skip."
    )
    max_repeats: int | None = Field(default=None, ge=1, description="How often it fires at most.")
    overlap: Literal["queue", "skip"] | None = Field(
        default=None,
        description="What becomes of a moment at which the workflow of the last firing is not over: another one, or "
        "nothing. Without it: queue.",
    )

    @field_validator("once", mode="before")
    @classmethod
    def _moment_as_text(cls, once: object) -> object:
        """TOML has moments of its own, beside texts."""
        return once.isoformat() if isinstance(once, date) else once

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        named = [kind for kind in _SCHEDULES if getattr(self, kind) is not None]
        if len(named) != 1:
            has = " and ".join(named) or "none of them"
            raise ValueError(f"a schedule is one of {', '.join(_SCHEDULES)}, and this has {has}")
        return self


class TimerTable(Section):
    """One timer: at the moments of its schedule an artifact is published, or an agent starts."""

    name: str = Field(min_length=1, description="The name of the timer.")
    schedule: ScheduleTable = Field(
        description='When: {every = "5m"}, {daily = "09:00", tz = "Europe/Berlin"}, {once = "2026-12-24T18:00:00Z"} or '
        '{cron = "0 9 * * 1-5", tz = "UTC"}; each also takes jitter, catch_up ("skip" or "once"), max_repeats and '
        'overlap ("queue" or "skip").'
    )
    publish: str | None = Field(default=None, description="The artifact type that it publishes. This or run.")
    payload: dict[str, object] | None = Field(default=None, description="The payload of what it publishes.")
    tags: list[str] | None = Field(default=None, description="The tags of what it publishes.")
    partition_key: str | None = Field(default=None, description="The partition key of what it publishes.")
    visibility: dict[str, object] | None = Field(
        default=None, description='Who may see what it publishes, as {kind = "Private", agents = ["…"]}.'
    )
    run: str | None = Field(
        default=None, description="The agent that it starts, one that takes no artifact. This or publish."
    )

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.publish is None) == (self.run is None):
            raise ValueError(f'the timer "{self.name}" needs either publish or run, and not both')
        return self

    def target(self) -> dict[str, object]:
        """What is set of all but its name and schedule, under the names that `flock.schedule` has for it."""
        return self.model_dump(exclude={"name", "schedule"}, exclude_none=True)
