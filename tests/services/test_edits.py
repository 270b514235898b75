"""Edits of a block's text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira_ltmemory.errors import AmbiguousMatch, InvalidArgument, NoMatch, OverLimit
from mira_ltmemory.services import edits

texts = st.text(max_size=200)
lines = st.text(alphabet="ab \t<&'\n", max_size=40)


@given(texts, st.text(min_size=1, max_size=50))
def test_append_keeps_what_was_there_and_ends_with_the_addition(text: str, addition: str) -> None:
    result = edits.append(text, addition)
    assert result.startswith(text)
    assert result.endswith(addition)
    assert len(result) == len(text) + len(addition) + bool(text)


@given(lines, st.text(alphabet="ab\n", min_size=1, max_size=5), lines)
def test_replace_changes_one_place_or_refuses(text: str, old: str, new: str) -> None:
    places = sum(text.startswith(old, at) for at in range(len(text)))
    if old == new:
        with pytest.raises(InvalidArgument, match="nothing to change"):
            edits.replace(text, old, new)
    elif places == 0:
        with pytest.raises(NoMatch):
            edits.replace(text, old, new)
    elif places > 1:
        with pytest.raises(AmbiguousMatch, match=f"{places} times"):
            edits.replace(text, old, new)
    else:
        before, after = text.split(old, 1)
        assert edits.replace(text, old, new) == before + new + after


@given(lines, lines.filter(bool), st.integers(-3, 12))
def test_insert_puts_the_addition_after_its_line_or_refuses(text: str, addition: str, line: int) -> None:
    present = text.split("\n") if text else []
    if not -1 <= line <= len(present):
        with pytest.raises(InvalidArgument, match=f"insert_line is {line}, but the block has {len(present)} lines"):
            edits.insert(text, addition, line)
        return
    at = len(present) if line == -1 else line
    result = edits.insert(text, addition, line).split("\n")
    added = addition.split("\n")
    assert result == present[:at] + added + present[at:]


def test_no_match_shows_the_nearest_lines() -> None:
    with pytest.raises(NoMatch, match="likes green tea"):
        edits.replace("name: Ada\nlikes green tea\nlives in Turin", "likes green teas", "likes coffee")


def test_ambiguous_match_names_the_lines() -> None:
    with pytest.raises(AmbiguousMatch, match="lines 1, 3"):
        edits.replace("tea\nmilk\ntea", "tea", "coffee")


def test_overlapping_places_are_ambiguous() -> None:
    with pytest.raises(AmbiguousMatch):
        edits.replace("aaa", "aa", "b")


def test_over_limit_gives_the_numbers() -> None:
    with pytest.raises(OverLimit, match=r"would hold 1,205 of 1,024 characters \(over by 181\)"):
        edits.require_fit("system", "x" * 1205, 1024)


@given(texts, texts)
def test_a_diff_holds_both_texts(before: str, after: str) -> None:
    diff = edits.unified_diff(before, after, "a", "b")
    assert (diff == "") == (before == after)
    if len(edits.lines_of(before)) < 3 and len(edits.lines_of(after)) < 3 and diff:
        # A text may hold line feeds only where its lines end, so each line of the diff is one of a text.
        body = diff.split("\n")[3:]
        assert [line[1:] for line in body if line[0] in " -"] == edits.lines_of(before)
        assert [line[1:] for line in body if line[0] in " +"] == edits.lines_of(after)


@given(lines, st.lists(st.text(alphabet="ab\n", min_size=1, max_size=5), min_size=1, max_size=5))
def test_several_edits_do_what_they_do_one_by_one(text: str, additions: list[str]) -> None:
    expected = text
    for addition in additions:
        expected = edits.append(expected, addition)
    assert edits.apply_all(text, [edits.Append(new=addition) for addition in additions]) == expected


def test_only_a_refusal_of_several_edits_names_a_number() -> None:
    with pytest.raises(NoMatch, match="^Edit 2 of 2"):
        edits.apply_all("a", [edits.Append(new="b"), edits.Replace(old="x", new="y")])
    with pytest.raises(NoMatch, match="^old_content is not"):
        edits.apply_all("a", [edits.Replace(old="x", new="y")])
