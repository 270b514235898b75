"""What memory holds about the user's last message, in the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from mira_ltmemory.protocols import Kind, Role, in_zone
from mira_ltmemory.providers.budget import shortened, within
from mira_ltmemory.services.context.relevant import Memory, RelevantMemories
from mira_ltmemory.services.uses import UseService
from mira_ltmemory.templates import render

_SHARE = 3
"""An entry takes at most this part of the budget, so that one long memory does not crowd out the others."""

_CONVERSATION_CHARS = 40
_SIDES = {Role.USER: "the user said", Role.ASSISTANT: "you said", Role.TOOL: "a tool answered", Role.SYSTEM: "noted"}
_KINDS = {"fact": "fact", "window": "from a conversation", "summary": "summary", "insight": "insight"}


class RelevantMemoriesProvider:
    """Renders the memories that are likely to be relevant, each with its date and source; empty where none is."""

    name = "relevant_memories"

    def __init__(
        self,
        memories: RelevantMemories,
        zone: ZoneInfo,
        limit: int,
        search_tools: Sequence[str] = (),
        uses: UseService | None = None,
    ) -> None:
        self._memories = memories
        self._zone = zone
        self._limit = limit
        self._search_tools = tuple(search_tools)
        self._uses = uses
        self._noted: Sequence[Memory] = ()

    def render(self) -> str:
        """Return the part, within its budget of characters."""
        memories = self._memories.current()
        text, number = within([self._entry(memory) for memory in memories], self._shown, self._limit)
        self._note(memories, number)
        return text

    def _note(self, memories: Sequence[Memory], number: int) -> None:
        """Note what was shown, once for each message that it was looked up for."""
        if self._uses is not None and memories is not self._noted:
            self._uses.shown(memory.hit for memory in memories[:number] if memory not in self._noted)
        self._noted = memories

    def _shown(self, entries: Sequence[dict[str, str]]) -> str:
        return render("relevant_memories", memories=entries, search_tools=list(self._search_tools))

    def _entry(self, memory: Memory) -> dict[str, str]:
        text = shortened(memory.hit.content, self._limit // _SHARE)
        return {"date": self._date(memory), "source": shortened(_source(memory), 120), "text": text}

    def _date(self, memory: Memory) -> str:
        hit = memory.hit
        moments = [source.said_at for source in memory.messages] or [hit.said_at]
        days = [in_zone(moment, self._zone).date().isoformat() for moment in (moments[0], moments[-1])]
        return days[0] if days[0] == days[1] else f"{days[0]} to {days[1]}"


def _source(memory: Memory) -> str:
    hit = memory.hit
    if hit.kind is Kind.MESSAGE:
        said = f"{hit.speaker} said" if hit.speaker else _SIDES.get(hit.role or Role.SYSTEM, "noted")
        return f"{said}, conversation {shortened(hit.conversation_id or 'unknown', _CONVERSATION_CHARS)}"
    what = _KINDS.get(hit.category or "", "note")
    if memory.messages:
        number = len(memory.messages)
        what += f", from {number} message{'' if number == 1 else 's'}"
    if hit.tags:
        what += f", tags {', '.join(hit.tags)}"
    return what
