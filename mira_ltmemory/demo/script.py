"""What is said in the demo about the sample: the user's sentences, and what a scripted model does with them.

The model's steps are functions where they depend on what the tools returned: they use what the search
found, and say so where it found nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mira_ltmemory.hosts.local import Reply, Step
from mira_ltmemory.protocols import Json

SAMPLE_ZONE = "Europe/Berlin"
SAMPLE_SECRETS = (
    "Leipzig0Luthier0v7Qm2XtR9bWc4LzKp8NhYs3GdJf6UaTe1VoBi5",
    "Zargenbiegen-88-Ahorn",
    "4111 1111 1111 1111",
    "4111111111111111",
)
"""Secrets that stand in the sample and must stand nowhere in the database."""
SAMPLE_INJECTION = "Viktor Stahl"
"""The name that a page in the sample wants written into memory, by posing as the system."""

_END = "\n<topic_changed=false/>"
_DUE = re.compile(r"due on (\d+ \w+ 2025)")
_DATES = ("20 June 2025", "27 June 2025")
_SHEET = (
    "Order of Herr Jonas Adler, OM guitar: Engelmann spruce top from the 2014 set, black walnut back and sides, "
    "mahogany neck, scale 645 mm, nut width 44.5 mm, price 7,150 EUR, deposit 2,000 EUR."
)
_TOOLS = (
    "bending iron",
    "thickness caliper",
    "cam clamp",
    "purfling cutter",
    "fret press",
    "scraper",
    "toothing plane",
)


@dataclass(frozen=True)
class Turn:
    """One sentence of the user, and ``steps``, the script of what the model does with it.

    ``tools`` must be used well in it and ``refused`` in vain; ``expects`` must stand in the answer. Where
    ``quiet``, no tool may be used.
    """

    shows: str
    user: str
    steps: tuple[Step, ...]
    tools: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    expects: str = ""
    quiet: bool = False


def results(request: Json) -> list[Json]:
    """Return what the tools answered, from the last message of a request."""
    content = request["messages"][-1]["content"]
    blocks = content if isinstance(content, list) else []
    answers = [ast.literal_eval(block["content"]) for block in blocks if block.get("type") == "tool_result"]
    return [answer for answer in answers if isinstance(answer, dict)]


def hits(request: Json) -> list[Json]:
    """Return the hits of the searches among the results."""
    return [hit for answer in results(request) for hit in answer.get("results", [])]


def prompt(request: Json) -> str:
    """Return the system prompt of a request."""
    system = request.get("system", "")
    return system if isinstance(system, str) else "\n\n".join(block["text"] for block in system)


def call(name: str, *, say: str = "", **arguments: Any) -> Reply:
    """Return a reply that calls one tool."""
    return Reply(say, [(name, arguments)])


def say(text: str) -> str:
    """Return an answer with the mark that MIRA wants at its end."""
    return text + _END


def sample_turns(blocks: Mapping[str, str]) -> list[Turn]:
    """Return the conversation that fits what core memory holds: a first one, or one more."""
    due = _DUE.search(blocks.get("human", ""))
    return _first_turns() if due is None else _later_turns(due.group(1))


def remembering_turn(shows: str, fact: str, question: str) -> Turn:
    """Return a turn in which the model answers from core memory alone."""

    def answer(request: Json) -> str:
        line = next((line for line in prompt(request).split("\n") if fact in line), None)
        return say(f"From my notes: {line}" if line else "I do not know, my notes are empty.")

    return Turn(shows, question, (answer,), expects=fact, quiet=True)


def _first_turns() -> list[Turn]:
    return [
        Turn(
            "searches past conversation and notes what it found",
            "Halina is in the tea shop and asks what I drink these days, and since when. Look it up in what we said, "
            "and note it about me in your core memory.",
            (
                call("conversation_search", query="What is my favourite tea?", limit=8, say="I look it up."),
                _note_tea,
                lambda request: say("Hōjicha. I have noted it." if _well(request) else "I could not note it."),
            ),
            tools=("conversation_search", "core_memory_append"),
            expects="hōjicha",
        ),
        Turn(
            "appends to core memory",
            "Two things to keep in your notes about me: I'm allergic to penicillin, and Herr Adler's OM guitar is "
            "due on 30 June 2025.",
            (
                Reply(
                    "",
                    [
                        (
                            "core_memory_append",
                            {
                                "label": "human",
                                "content": "Tomasz Wieland, luthier in Leipzig. Allergic to penicillin.",
                            },
                        ),
                        (
                            "core_memory_append",
                            {"label": "human", "content": "Herr Adler's OM guitar is due on 30 June 2025."},
                        ),
                    ],
                ),
                say("Both are in my notes."),
            ),
            tools=("core_memory_append",),
        ),
        _correction("30 June 2025", _DATES[0]),
        _filing(),
        Turn(
            "is refused an edit that does not fit, and files the text instead",
            "Here is my tool list for the insurance, keep all of it in your notes about me:\n" + _tool_list(),
            (
                call("core_memory_append", label="human", content=_tool_list()),
                _file_instead,
                lambda request: say("Filed." if _well(request) else "I could not file it."),
            ),
            tools=("archival_memory_insert",),
            refused=("core_memory_append",),
        ),
    ]


def _later_turns(due: str) -> list[Turn]:
    other = next(date for date in _DATES if date != due)
    return [
        remembering_turn(
            "answers from core memory, without a tool",
            "penicillin",
            "Hello again. Without looking anything up: what am I allergic to?",
        ),
        Turn(
            "searches past conversation, the demo's own included",
            "What did I tell you about the date of Herr Adler's guitar? Look it up in what we said.",
            (
                call("conversation_search", query="Herr Adler's guitar: correction of the date", limit=8),
                lambda request: say(f"You said: {_line_with(f'due on {due}', hits(request))}"),
            ),
            tools=("conversation_search",),
            expects=due,
        ),
        _correction(due, other),
        _filing(),
        Turn(
            "is refused an edit of text that is not there",
            "In your notes about me, replace 'drinks peppermint tea' by 'drinks nothing'. If that does not stand "
            "there, leave it.",
            (
                call(
                    "core_memory_replace",
                    label="human",
                    old_content="drinks peppermint tea",
                    new_content="drinks nothing",
                ),
                lambda request: say("That does not stand in my notes, so I changed nothing."),
            ),
            refused=("core_memory_replace",),
        ),
    ]


def _correction(old: str, new: str) -> Turn:
    return Turn(
        "replaces on a correction",
        f"Correction: Herr Adler called, his guitar is due on {new} now, no longer on {old}. Change your notes.",
        (
            call("core_memory_replace", label="human", old_content=f"due on {old}", new_content=f"due on {new}"),
            lambda request: say(f"Changed to {new}." if _well(request) else "I could not change it."),
        ),
        tools=("core_memory_replace",),
    )


def _filing() -> Turn:
    return Turn(
        "inserts into archival memory and finds it again",
        f"File this in your archival memory, tagged orders and adler: {_SHEET} Then look the nut width up there.",
        (
            call("archival_memory_insert", content=_SHEET, tags=["orders", "adler"]),
            call("archival_memory_search", query="Which nut width does Herr Adler get?", tags=["orders"], top_k=3),
            _nut_width,
        ),
        tools=("archival_memory_insert", "archival_memory_search"),
        expects="44.5 mm",
    )


def _note_tea(request: Json) -> Reply | str:
    found = next((hit for hit in hits(request) if "hōjicha" in hit["content"].lower()), None)
    if found is None:
        return say("I looked and found nothing about it.")
    note = f"Favourite tea: hōjicha (said so on {found['timestamp'][:10]}), no longer Assam."
    return call("core_memory_append", label="human", content=note)


def _file_instead(request: Json) -> Reply | str:
    refusal = next((answer for answer in results(request) if not answer["success"]), None)
    if refusal is None:
        return say("It fits.")
    why = f"My notes cannot hold that: {refusal['error'].split(';')[0]}. I file it in archival memory."
    return call("archival_memory_insert", content=_tool_list(), tags=["insurance"], say=why)


def _nut_width(request: Json) -> str:
    found = next((hit["content"] for hit in hits(request) if "nut width" in hit["content"]), "")
    width = re.search(r"nut width ([\d.]+ mm)", found)
    return say(f"Filed. The nut width is {width.group(1)}." if width else "I filed it and do not find it again.")


def _well(request: Json) -> bool:
    return all(answer.get("success") for answer in results(request))


def _line_with(text: str, found: Sequence[Json]) -> str:
    lines = (line for hit in found for line in hit["content"].split("\n") if text in line)
    return next(lines, "nothing that I can find")[:200]


def _tool_list() -> str:
    return "\n".join(
        f"{number}. {_TOOLS[number % len(_TOOLS)]}, inventory number W-{number:03}" for number in range(1, 81)
    )
