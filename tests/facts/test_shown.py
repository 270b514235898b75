"""What the model is asked about, and which memories it is shown: all that people said is looked for, in any script."""

from __future__ import annotations

from dataclasses import replace

import pytest
from doubles import ListedLLM
from fact_answers import NONE, answer, fact
from talking import message, rows, said

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Actor, Change, Role
from mira_ltmemory.services.facts.known import queries

BY_USER = Change(Actor.USER, "test")
LONG = "Compost needs carbon and nitrogen in balance, turned every other week. " * 18


def test_what_a_late_turn_changes_is_shown(memory: MemoryManager, llm: ListedLLM) -> None:
    memory.archival.insert("The user lives in Lyon.", change=BY_USER)
    for number in range(30):
        tip = f"Compost tip number {number}: carbon, nitrogen and turning, tomatoes and roses in the garden."
        memory.archival.insert(tip, change=BY_USER)
    said(
        memory, "How do I make compost?", (Role.ASSISTANT, LONG), "And tomatoes, how do they like it?",
        (Role.ASSISTANT, LONG), "And roses?", (Role.ASSISTANT, LONG),
        "By the way, I live in Porto now, no longer in Lyon.", (Role.ASSISTANT, "Noted!"),
    )  # fmt: skip
    llm.steps.append(NONE)
    memory.batches.run()
    assert "The user lives in Lyon." in llm.requests[0][0][0]["content"]


def test_all_that_people_said_is_looked_for() -> None:
    long = " ".join(f"word{number}" for number in range(300))
    talk = [
        message("Where do you live now?", 1, Role.ASSISTANT),
        message("In Porto.", 2),
        message(long, 3),
        message("And what else is new with you?", 4, Role.ASSISTANT),
        message("I have a cat called Milo.", 5),
    ]
    found = queries(talk)
    assert found[0] == "Where do you live now?\nIn Porto."
    assert "".join(found[1:4]) == long
    assert found[4:] == ["I have a cat called Milo."]
    assert queries([replace(each, role=Role.ASSISTANT) for each in talk[:1]]) == ["Where do you live now?"]


@pytest.mark.parametrize(
    ("text", "quote", "told"),
    [
        ("Call me Sam.", "Call me Sam", "The user is called Sam."),
        ("我搬到了北京，我养了一只猫。", "我搬到了北京", "用户住在北京。"),
        ("ผมอยู่กรุงเทพ", "อยู่กรุงเทพ", "ผู้ใช้อยู่กรุงเทพ"),
    ],
)
def test_few_words_and_scripts_without_blanks_are_asked_about(
    memory: MemoryManager, llm: ListedLLM, text: str, quote: str, told: str
) -> None:
    said(memory, text)
    llm.steps.append(answer(fact(told, quote)))
    assert memory.batches.run().counts["facts_added"] == 1
    assert rows(memory) == [told]
