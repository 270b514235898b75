"""Automations and their execution records, and when an automation is due next.

Moments are stored as MIRA's SQLite columns store them: without their time zone. What comes back from the store
is naive, and a moment that was not in UTC comes back wrong. Code here that trips over that does so on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from mira_ltmemory.hosts.local.clock import as_utc


class AutomationType(StrEnum):
    """Whether it is one call or several."""

    SIMPLE_TASK = "simple_task"
    SEQUENCE = "sequence"


class AutomationStatus(StrEnum):
    """Whether the job runs."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    ARCHIVED = "archived"


class ExecutionMode(StrEnum):
    """Whether the tool is called, or the model is asked to."""

    DIRECT = "direct"
    ORCHESTRATED = "orchestrated"


class ExecutionStatus(StrEnum):
    """How a run went."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TaskFrequency(StrEnum):
    """How often the host itself would run it."""

    ONCE = "once"
    MINUTELY = "minutely"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    CUSTOM = "custom"


class TriggerType(StrEnum):
    """What set off a run."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"


MOMENTS = (
    "scheduled_time",
    "end_time",
    "last_execution_time",
    "next_execution_time",
    "created_at",
    "updated_at",
)
_TASK_FIELDS = (
    "execution_mode",
    "tool_name",
    "operation",
    "parameters",
    "task_description",
    "available_tools",
)


@dataclass
class Automation:
    """One scheduled job."""

    id: str = field(default_factory=lambda: str(uuid4()))
    name: str | None = None
    description: str | None = None
    type: AutomationType = AutomationType.SIMPLE_TASK
    frequency: TaskFrequency = TaskFrequency.ONCE
    scheduled_time: datetime | None = None
    day_of_week: int | None = None
    day_of_month: int | None = None
    end_time: datetime | None = None
    custom_schedule: str | None = None
    timezone: str | None = None
    status: AutomationStatus = AutomationStatus.ACTIVE
    last_execution_id: str | None = None
    last_execution_time: datetime | None = None
    next_execution_time: datetime | None = None
    execution_count: int = 0
    max_executions: int | None = None
    execution_mode: ExecutionMode | None = None
    tool_name: str | None = None
    operation: str | None = None
    parameters: dict[str, Any] | None = field(default_factory=dict)
    task_description: str | None = None
    available_tools: list[str] | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    user_id: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    version: int = 1

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Automation:
        """Build one from a definition. Unknown enum values and moments that are not ISO are ``ValueError``."""
        job = cls(max_executions=data.get("max_executions"))
        for key in ("name", "description", "day_of_week", "day_of_month", "custom_schedule", "timezone", "user_id"):
            setattr(job, key, data.get(key))
        job.id = data.get("id") or job.id
        job.execution_count = data.get("execution_count", 0)
        job.version = data.get("version", 1)
        job.type = AutomationType(data.get("type") or AutomationType.SIMPLE_TASK)
        job.frequency = TaskFrequency(data.get("frequency") or TaskFrequency.ONCE)
        job.status = AutomationStatus(data.get("status") or AutomationStatus.ACTIVE)
        if data.get("type") == AutomationType.SIMPLE_TASK:
            mode = data.get("execution_mode")
            job.execution_mode = ExecutionMode(mode) if mode else None
            for key in _TASK_FIELDS[1:]:
                setattr(job, key, data.get(key, {} if key == "parameters" else None))
        elif job.type is AutomationType.SEQUENCE:
            job.steps = list(data.get("steps") or [])
        for key in MOMENTS:
            if value := data.get(key):
                setattr(job, key, datetime.fromisoformat(value) if isinstance(value, str) else value)
        return job

    def to_dict(self) -> dict[str, Any]:
        """Return the definition with moments as ISO strings in the automation's own time zone."""
        zone = ZoneInfo(self.timezone or "UTC")
        hidden = {"last_execution_id", "steps", *_TASK_FIELDS}
        result: dict[str, Any] = {key: value for key, value in self.__dict__.items() if key not in hidden}
        for key in MOMENTS:
            moment = getattr(self, key)
            result[key] = as_utc(moment).astimezone(zone).isoformat() if moment else None
        shown = _TASK_FIELDS if self.type is AutomationType.SIMPLE_TASK else ("steps",)
        result.update({key: getattr(self, key) for key in shown})
        return {key: value.value if isinstance(value, StrEnum) else value for key, value in result.items()}

    def validate(self) -> list[str]:
        """Return what is wrong with the definition."""
        wrong = []
        if not self.name:
            wrong.append("a name is required")
        if not self.scheduled_time:
            wrong.append("scheduled_time is required")
        if self.frequency is TaskFrequency.WEEKLY and self.day_of_week is None:
            wrong.append("day_of_week is required for a weekly job")
        if self.frequency is TaskFrequency.MONTHLY and self.day_of_month is None:
            wrong.append("day_of_month is required for a monthly job")
        if self.type is AutomationType.SEQUENCE:
            return wrong if self.steps else [*wrong, "a sequence needs a step"]
        needed = {
            ExecutionMode.DIRECT: ("tool_name", "operation"),
            ExecutionMode.ORCHESTRATED: ("task_description",),
        }
        if self.execution_mode is None:
            return [*wrong, "execution_mode is required"]
        return wrong + [f"{key} is required" for key in needed[self.execution_mode] if not getattr(self, key)]


@dataclass
class Execution:
    """The record of one run."""

    automation_id: str
    created_at: datetime
    id: str = field(default_factory=lambda: str(uuid4()))
    status: ExecutionStatus = ExecutionStatus.PENDING
    trigger_type: TriggerType = TriggerType.SCHEDULED
    scheduled_time: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    runtime_seconds: float | None = None
    result: dict[str, Any] | None = None
    error: str | None = None

    def summary(self) -> dict[str, Any]:
        """Return the short form that lists show."""
        return {
            "id": self.id,
            "status": self.status.value,
            "trigger_type": self.trigger_type.value,
            "started_at": self.started_at.isoformat() if self.started_at else None,
            "completed_at": self.completed_at.isoformat() if self.completed_at else None,
            "runtime_seconds": self.runtime_seconds,
            "error": self.error,
        }


def next_run(job: Automation, now: datetime, default_zone: str) -> datetime | None:
    """When the host itself would run the job next, in UTC; ``None`` if never.

    MIRA's quirks are kept: the hour of ``scheduled_time``, stored in UTC, is taken for local time (DAILY
    shifts by the offset); WEEKLY gives a moment that has passed once it ran on its day; MONTHLY and any job
    with an ``end_time`` compare naive with aware moments and raise; CUSTOM drifts.
    """
    if job.frequency is TaskFrequency.ONCE:
        return None
    if job.end_time and job.end_time <= now:
        return None
    if job.max_executions and job.execution_count >= job.max_executions:
        return None
    base = job.scheduled_time
    if base is None:
        return None
    local = now.astimezone(ZoneInfo(job.timezone or default_zone))
    today = local.replace(hour=base.hour, minute=base.minute, second=base.second, microsecond=0)
    if job.frequency is TaskFrequency.MINUTELY:
        due = local.replace(second=base.second) + timedelta(minutes=1)
    elif job.frequency is TaskFrequency.HOURLY:
        due = local.replace(minute=base.minute, second=base.second)
        due = due if due > local else due + timedelta(hours=1)
    elif job.frequency is TaskFrequency.WEEKLY:
        target = job.day_of_week if job.day_of_week is not None else base.weekday()
        ahead = (target - local.weekday()) % 7
        due = today + timedelta(days=7 if ahead == 0 and today > local else ahead)
    elif job.frequency is TaskFrequency.MONTHLY:
        day = min(job.day_of_month or base.day, 28)
        due = datetime(local.year, local.month, day, base.hour, base.minute, base.second)
        due = due if due > local else due + timedelta(days=31)
    elif job.frequency is TaskFrequency.CUSTOM and today <= local and (step := _custom_step(job.custom_schedule)):
        due = local + step
    else:
        due = today if today > local else today + timedelta(days=1)
    return as_utc(due)


def _custom_step(schedule: str | None) -> timedelta | None:
    words = (schedule or "").lower().split()
    if len(words) < 3 or words[0] != "every" or not words[1].isdigit():
        return None
    for unit in ("minute", "hour", "day", "week"):
        if words[2].startswith(unit):
            return timedelta(**{f"{unit}s": int(words[1])})
    return timedelta(days=1)
