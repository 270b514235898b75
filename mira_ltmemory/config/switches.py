"""Groups of switches: which tools, parts of the prompt and jobs there are, and when jobs run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from croniter import CroniterBadDateError, croniter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator


def _cron(value: str) -> str:
    if len(value.split()) != 5 or not croniter.is_valid(value):
        raise ValueError(f"{value!r} is not a cron expression of five fields, such as '0 2 * * *'")
    try:
        croniter(value, datetime(2024, 1, 1, tzinfo=UTC)).get_next()
    except CroniterBadDateError:
        raise ValueError(f"{value!r} names a day that never comes") from None
    return value


Cron = Annotated[str, AfterValidator(_cron)]


class _Switches(BaseModel):
    """A group of switches; a name that is none of them is an error."""

    model_config = ConfigDict(extra="forbid")


class ToolSwitches(_Switches):
    """One switch for each tool that the language model may be offered."""

    core_memory_append: bool = True
    core_memory_replace: bool = True
    memory_insert: bool = True
    memory_rethink: bool = True
    memory_history: bool = True
    memory_rollback: bool = True
    memory: bool = False
    archival_memory_insert: bool = True
    archival_memory_search: bool = True
    conversation_search: bool = True
    entity_lookup: bool = True
    entity_search: bool = True


class ProviderSwitches(_Switches):
    """One switch for each part of the system prompt."""

    core_memory: bool = True
    relevant_memories: bool = True
    recent_insights: bool = True
    active_entities: bool = True
    memory_status: bool = True


class AutomationSetting(_Switches):
    """Whether a job runs, and when: five cron fields, read in the user's time zone."""

    enabled: bool = True
    cron: Cron


def _automation(cron: str, *, enabled: bool = True) -> Any:
    return Field(default_factory=lambda: AutomationSetting(cron=cron, enabled=enabled))


class AutomationSettings(_Switches):
    """One entry for each job of the automation engine."""

    process_conversations: AutomationSetting = _automation("0 * * * *")
    relation_discovery: AutomationSetting = _automation("0 4 * * *", enabled=False)
    health_check: AutomationSetting = _automation("0 */6 * * *")
    consolidate_memory: AutomationSetting = _automation("0 2 * * *")
    weekly_review: AutomationSetting = _automation("0 0 * * 0")
    calibrate_search: AutomationSetting = _automation("30 2 * * *")
    retention: AutomationSetting = _automation("45 3 * * *")
    index_upkeep: AutomationSetting = _automation("15 4 * * 0")

    @field_validator("*", mode="before")
    @classmethod
    def _keep_default_cron(cls, value: Any, info: Any) -> Any:
        """Let ``{"enabled": false}`` or plain ``false`` stand without repeating the cron expression."""
        default = cls.model_fields[info.field_name].get_default(call_default_factory=True)
        if isinstance(value, bool):
            return {"enabled": value, "cron": default.cron}
        if isinstance(value, Mapping):
            return {"cron": default.cron, "enabled": default.enabled, **value}
        return value
