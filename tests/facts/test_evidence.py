"""Whether words are evidence: whole words, however they are typed, in any script, neither asked nor denied."""

from __future__ import annotations

import pytest
from talking import message

from mira_ltmemory.protocols import Origin, Role
from mira_ltmemory.services.batch.window import WindowMessage
from mira_ltmemory.services.facts.evidence import quoted_in
from mira_ltmemory.services.text import word_count


@pytest.mark.parametrize(
    ("quote", "text"),
    [
        ("I'm allergic to nuts", "I’m allergic to nuts"),
        ("I’m allergic to nuts", "I'm allergic to nuts"),
        ('she said "never again"', "she said „never again“, and left"),
        ("from 2015–2019", "I was there from 2015-2019."),
        ("well... I live in Porto", "well… I live in Porto"),
        ("Yes!", "Yes!"),
        ("“Yes.”", "yes!"),
        ("是的。", "是的！"),
        ("I live in Porto.", "I live in Porto, near the sea"),
        ("moved to Porto\nlast", "I moved   to Porto last week"),
        ("我住在北京", "我住在北京，养了一只猫。"),
        ("コーヒーが好き", "私はコーヒーが好きです"),
        ("서울로 이사", "저는 서울로 이사했어요"),
        ("我叫Sam，你好", "我叫Sam，你好"),
        ("I live in Porto", "I live in Porto, remember?"),
        ("I live in Porto", "Since I live in Porto, what should I see?"),
        ("I'm vegetarian", "What should I cook, since I'm vegetarian?"),
        ("as a vegetarian", "What should I cook as a vegetarian?"),
        ("I've read 5 books", "I want to read more, and I've read 5 books so what is next?"),
        ("I live in Porto", "Do I live in Porto? Yes. I live in Porto."),
        ("moved to Porto", "Did you hear?\nI moved to Porto"),
        ("I live in Porto", "No, I live in Porto"),
        ("I live in Porto", "No I live in Porto"),
        ("I'm vegetarian", "Don't forget I'm vegetarian"),
        ("I don't like spicy food", "I don't like spicy food"),
    ],
)
def test_words_that_are_evidence(quote: str, text: str) -> None:
    assert quoted_in(quote, [message(text)]) is not None


@pytest.mark.parametrize(
    ("quote", "text"),
    [
        ("like mushrooms", "I dislike mushrooms"),
        ("lives in Rome", "He lives in Romeo"),
        ("I live in Porto\nwith", "I live in Portowith"),
        ("I live in Porto", "Do I live in Porto?"),
        ("moved to Porto last week", "So you moved to Porto last week?"),
        ("I work as a nurse", "Do I work as a nurse?"),
        ("how can I live in Porto", "It is far, but how can I live in Porto?"),
        ("我住在北京", "我住在北京吗？"),
        ("私は東京に住んで", "私は東京に住んでいますか。"),
        ("like spicy food", "I don't like spicy food"),
        ("like spicy food", "I don’t really like spicy food"),
        ("esse gern Fisch", "Ich nicht esse gern Fisch"),
        ("me gusta el picante", "No me gusta el picante"),
        ("любит грибы", "он не любит грибы"),
        ("喜欢吃辣的", "我不喜欢吃辣的。"),
        ("cat", "I have a cat"),
        ("北京", "我住在北京，养了一只猫。"),
        ("Yes", "Yes?"),
        ("...", "well... I live in Porto"),
    ],
)
def test_words_that_are_none(quote: str, text: str) -> None:
    assert quoted_in(quote, [message(text)]) is None


def test_what_is_denied_is_evidence_for_a_denial() -> None:
    heard = [message("I don't like spicy food")]
    assert quoted_in("like spicy food", heard, "The user does not like spicy food.") is heard[0]
    assert quoted_in("like spicy food", heard, "The user likes spicy food.") is None


def test_the_users_words_come_before_those_of_others() -> None:
    def said_by(role: Role, origin: Origin) -> WindowMessage:
        found = message("I live in Porto", role=role)
        return WindowMessage(**{**{name: getattr(found, name) for name in found.__slots__}, "origin": origin})

    assistant, unknown, user = (
        said_by(Role.ASSISTANT, Origin.ASSISTANT),
        said_by(Role.USER, Origin.IMPORT),
        said_by(Role.USER, Origin.USER),
    )
    assert quoted_in("I live in Porto", [assistant, unknown, user]) is user
    assert quoted_in("I live in Porto", [assistant, unknown]) is unknown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Call me Sam.", 3),
        ("我搬到了北京，叫小米。", 9),
        ("コーヒーが好き", 7),
        ("저는 서울로 이사했어요", 3),
        ("ผมชื่อแซม", 7),
        ("मैं पोर्टो में रहता हूँ", 5),
        ("我叫Sam", 3),
        ("don't - do (that) !", 3),
        ("  ", 0),
    ],
)
def test_words_are_counted_in_any_script(text: str, words: int) -> None:
    assert word_count(text) == words
