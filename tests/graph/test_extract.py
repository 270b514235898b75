"""Names, places, organisations, dates, handles and links, found without a model."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira_ltmemory.services.graph.extract import EntityType, extract
from mira_ltmemory.services.graph.keys import key_of

SAID_AT = datetime(2024, 5, 20, 12, tzinfo=UTC)


def found(text: str, *people: str, known: dict[str, EntityType] | None = None) -> list[tuple[str, str]]:
    return [(each.type.value, each.value) for each in extract(text, SAID_AT, people=people, known=known)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yesterday I met Hannah Brandt at the station.", [("person", "Hannah Brandt")]),
        ("Thanks, Olga! See you.", [("person", "Olga")]),
        ("My sister Mirabel moved out.", [("person", "Mirabel")]),
        ("We asked Dr. Okonkwo about it.", [("person", "Okonkwo")]),
        ("He lives in Tromsø now.", [("place", "Tromsø")]),
        ("We were in San Francisco for a week.", [("place", "San Francisco")]),
        ("It is near the Willow Creek Library, I think.", [("place", "Willow Creek Library")]),
        ("She works at Bluefin Robotics in Boston.", [("organization", "Bluefin Robotics"), ("place", "Boston")]),
        ("He studied at the University of Porto.", [("organization", "University of Porto")]),
        ("They hired him at Nordwind GmbH.", [("organization", "Nordwind GmbH")]),
        ("Write to Jo.Smith@Example.org today.", [("email", "jo.smith@example.org")]),
        ("See https://example.org/a?b=1, and @kai_92.", [("link", "https://example.org/a?b=1"), ("handle", "@kai_92")]),
        ("We meet on March 3rd, 2025.", [("date", "2025-03-03")]),
        ("Am 12.06.2024 und am 3. Juli", [("date", "2024-06-12"), ("date", "2024-07-03")]),
        ("on 2024-02-30 or 2024-02-29", [("date", "2024-02-29")]),
        ("In Paris I saw Paris Jackson.", [("place", "Paris"), ("person", "Paris Jackson")]),
        ("'Red Sky' by Amara Lund", [("person", "Amara Lund")]),
    ],
)
def test_names_are_found(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "any two words are no person, and neither are Any Two Words",
        "Will you come? May I ask? Grace is a virtue. Hope dies last.",
        "Mark the date, bill the client and chase the goal.",
        "I will be there in may, or in March.",
        "Please call 555-1234 at 10:30, room 12.5, version 3.11.2",
        "Der Wolf und die Rose stehen in der Sonne, und das ist gut.",
        "El perro come en la casa con su amigo.",
        "THIS IS ALL IN CAPITAL LETTERS AND SHOUTS",
        "```python\nfrom flask import Anna\nAnna.Berg('Berlin')\n```",
        "Use `Anna Berg` here",
        "@app.route('/x')\n@login_required",
        "## Paris Agreement Overview Library",
        "someone@ and @ and a@b",
        "The Harry Potter films",
        "",
    ],
)
def test_what_is_no_name_is_none(text: str) -> None:
    assert found(text) == []


def test_who_speaks_is_known_by_name() -> None:
    assert found("Quillon said so. quillon?", "Quillon") == [("person", "Quillon")]
    assert found("The user said so.", "user", "assistant") == []


def test_what_is_known_is_found_again_where_it_is_written_so() -> None:
    known = {"zephyr labs": EntityType.ORGANIZATION, "grey": EntityType.PERSON}
    assert found("We asked Zephyr Labs and Grey, not the grey cat.", known=known) == [
        ("organization", "Zephyr Labs"),
        ("person", "Grey"),
    ]


def test_a_surname_alone_is_found_after_the_whole_name() -> None:
    assert found("I read Emily Hartwell; then more of Hartwell.") == [
        ("person", "Emily Hartwell"),
        ("person", "Hartwell"),
    ]


@given(st.text(max_size=200))
def test_finds_lie_in_the_text_and_apart(text: str) -> None:
    finds = extract(text, SAID_AT)
    for each in finds:
        assert 0 <= each.start < each.end <= len(text)
    for one, other in pairwise(finds):
        assert one.end <= other.start


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Anna  Berg", "anna berg", True),
        ("José", "Jose\u0301", True),
        ("Anna's", "Anna", True),
        ("Anna", "Annabel", False),
        ("Zoë", "Zoe", True),
        ("C++", "C", False),
    ],
)
def test_names_are_compared_by_whole_words(one: str, other: str, same: bool) -> None:
    assert (key_of(one) == key_of(other)) is same


def test_code_that_is_not_fenced_ends_with_an_empty_line() -> None:
    assert found("import numpy\nname = 'Anna Berg'\nprint(Lisbon)") == []
    assert found("import numpy\nx = 1\n\nAnna Berg is in Lisbon.") == [("person", "Anna Berg"), ("place", "Lisbon")]
