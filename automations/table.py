"""The table of jobs: name, what it is for, and (from the settings) when it runs."""

from __future__ import annotations

from collections.abc import Mapping
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


def _wanted(name: str, settings: MemoryConfig) -> bool:
    """Whether the settings leave a job that is switched on something to do."""
    if name == "retention":
        return settings.retention_days is not None
    return name != "relation_discovery" or settings.relationship_inference_enabled


def _settings(settings: MemoryConfig) -> dict[str, AutomationSetting]:
    return {name: getattr(settings.automations, name) for name in DESCRIPTIONS}
