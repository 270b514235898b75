"""Lines of a summary: what one says, what it cites, and how a model writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from mira_ltmemory.errors import LLMBadAnswer
from mira_ltmemory.protocols import LLM
from mira_ltmemory.services.asking import ask
from mira_ltmemory.services.consolidation.extract import cut
from mira_ltmemory.services.consolidation.texts import normalised
from mira_ltmemory.templates import render

SHOWN_IDS = 3
"""Citations that a line shows; all of them are in the summary's metadata and links."""

_PART_CHARS = 600
_LINE = re.compile(r"^- (?P<text>.*) \[(?P<day>[^\]]*?)(?:; [0-9a-f, +]+)?\]$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a summary: ``cited`` are messages, ``day`` says when."""

    text: str
    cited: tuple[UUID, ...]
    day: str

    @property
    def shown(self) -> str:
        """The line as it stands in the summary: its text, the day, and the beginning of the ids that it cites."""
        ids = ", ".join(id.hex[:8] for id in self.cited[:SHOWN_IDS])
        more = f" +{len(self.cited) - SHOWN_IDS}" if len(self.cited) > SHOWN_IDS else ""
        return f"- {self.text} [{self.day}; {ids}{more}]"

    @classmethod
    def read(cls, shown: str, cited: tuple[UUID, ...]) -> Line:
        """Read a line as it stands in a summary."""
        match = _LINE.match(shown)
        return cls(match["text"], cited, match["day"]) if match else cls(shown.removeprefix("- "), cited, "")


class WrittenLine(BaseModel):
    """A line as a model writes it."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=400, description="One sentence that can be understood alone.")
    parts: list[int] = Field(min_length=1, max_length=20, description="The numbers of the parts that say it.")
    quote: str = Field(min_length=1, max_length=400, description="Words of one of these parts, exactly as they stand.")


class WrittenLines(BaseModel):
    """A summary as a model writes it."""

    model_config = ConfigDict(extra="forbid")

    lines: list[WrittenLine] = Field(max_length=20)


def written(llm: LLM, title: str, parts: Sequence[Line], number: int) -> list[Line]:
    """Let a model sum up parts in at most ``number`` lines; none where its answer cannot be used.

    A line that cites what was not shown, or whose quote stands in none of the parts that it cites, is left out. Raises
    ``LLMError`` and ``BudgetSpent``.
    """
    shown = [{"number": n, "day": each.day, "text": each.text[:_PART_CHARS]} for n, each in enumerate(parts, 1)]
    try:
        answer = ask(
            llm,
            system=render("consolidation_summary", number=number),
            prompt=render("consolidation_parts", title=title, parts=shown),
            answer=WrittenLines,
        )
    except LLMBadAnswer:
        return []
    lines = []
    for line in answer.lines[:number]:
        cited = [parts[each - 1] for each in dict.fromkeys(line.parts) if 1 <= each <= len(parts)]
        quote = normalised(line.quote)
        if len(cited) == len(set(line.parts)) and any(quote and quote in normalised(each.text) for each in cited):
            ids = tuple(dict.fromkeys(id for each in cited for id in each.cited))
            days = sorted({day for each in cited for day in each.day.split(" to ") if day})
            when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}" if days else ""
            lines.append(Line(cut(line.text), ids, when))
    return lines
