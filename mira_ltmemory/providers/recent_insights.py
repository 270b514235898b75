"""What was found out about the user lately, in the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from mira_ltmemory.protocols import in_zone
from mira_ltmemory.providers.budget import shortened, within
from mira_ltmemory.services.context.insights import RecentInsights
from mira_ltmemory.store.context import InsightRow
from mira_ltmemory.templates import render

_SHARE = 3


class RecentInsightsProvider:
    """Renders the newest insights that hold, each with its day and how many messages or facts it rests on."""

    name = "recent_insights"

    def __init__(self, insights: RecentInsights, zone: ZoneInfo, limit: int) -> None:
        self._insights = insights
        self._zone = zone
        self._limit = limit

    def render(self) -> str:
        """Return the part, within its budget of characters; empty where there are no insights."""
        return within([self._entry(row) for row in self._insights.current()], _shown, self._limit)[0]

    def _entry(self, row: InsightRow) -> dict[str, object]:
        return {
            "date": in_zone(row.found_at, self._zone).date().isoformat(),
            "text": shortened(row.content, self._limit // _SHARE),
            "evidence": row.evidence,
            "of": "facts" if row.of_passages else "messages",
        }


def _shown(entries: Sequence[dict[str, object]]) -> str:
    return render("recent_insights", insights=entries)
