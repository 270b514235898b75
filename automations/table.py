"""The table of jobs: name, what it is for, and (from the settings) when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from mira_ltmemory.config import AutomationSetting, MemoryConfig
from mira_ltmemory.protocols import Job, JobFunction

DESCRIPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "process_conversations": "Stores what was said since the last run, draws facts and entities, and embeds it.",
        "relation_discovery": "Infers relations between entities that nobody said, marked as inferred; off by default.",
        "health_check": "Checks database, embedding model, samples of the indexes, and what waits for embedding.",
        "consolidate_memory": "Merges near-duplicates, marks contradictions, writes summaries, moves what is old and "
        "unimportant to cold storage.",
        "weekly_review": "Notices patterns across conversations, and lets the model put into memory what matters.",
        "calibrate_search": "Measures what a search finds by chance, so that hits can be told from it.",
        "retention": "Removes earlier versions that are older than `retention_days`; off where everything is kept.",
        "index_upkeep": "Mends and builds the search indexes, and measures what searches find.",
    }
)
"""What each job of this package does, by name, in one sentence."""

HEAVY = frozenset({"index_upkeep", "weekly_review", "consolidate_memory", "relation_discovery"})
"""Jobs that work long: they wait until the user is away, `quiet_minutes` after the last message."""


def build_jobs(settings: MemoryConfig, functions: Mapping[str, JobFunction]) -> list[Job]:
    """Return the jobs that are switched on, in the order of the table.

    ``functions`` gives each job of `DESCRIPTIONS` what it calls. Raises ``KeyError`` for a job without one.
    """
    return [
        Job(
            name=name,
            cron=setting.cron,
            timezone=settings.timezone,
            description=DESCRIPTIONS[name],
            run=functions[name],
            heavy=name in HEAVY,
        )
        for name, setting in _settings(settings).items()
        if setting.enabled and _wanted(name, settings)
    ]


def refusal(name: str, settings: MemoryConfig) -> str | None:
    """Why a job cannot run, in a sentence that says what to do; none where it can."""
    if name not in DESCRIPTIONS:
        near = get_close_matches(name, DESCRIPTIONS, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"There is no job {name[:60]!r}.{hint} Jobs: {', '.join(DESCRIPTIONS)}."
    if not _settings(settings)[name].enabled:
        return f"The job {name!r} is off: set LT_MEMORY_AUTOMATIONS__{name.upper()}__ENABLED=true."
    if not _wanted(name, settings):
        setting = "RETENTION_DAYS to a number" if name == "retention" else "RELATIONSHIP_INFERENCE_ENABLED=true"
        return f"The job {name!r} is off: set LT_MEMORY_{setting}."
    return None


def _wanted(name: str, settings: MemoryConfig) -> bool:
    """Whether the settings leave a job that is switched on something to do."""
    if name == "retention":
        return settings.retention_days is not None
    return name != "relation_discovery" or settings.relationship_inference_enabled


def _settings(settings: MemoryConfig) -> dict[str, AutomationSetting]:
    return {name: getattr(settings.automations, name) for name in DESCRIPTIONS}
