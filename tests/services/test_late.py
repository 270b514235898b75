"""Late interaction: what each word of a query finds among the words of a row, and what the row beside it lends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from doubles import WordEmbedder
from ranking import candidate, candidates

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Filter, IncomingMessage, Kind, Origin, Role, TokenVectors
from mira_ltmemory.services.search.features import features
from mira_ltmemory.services.search.late import Late, asked_tokens, telling, token_match, word_matches
from mira_ltmemory.services.search.query import Query
from mira_ltmemory.services.search.rank import LATE_WEIGHTS, WEIGHTS, rank
from mira_ltmemory.store.search import Candidates
from mira_ltmemory.store.tokens import TokenTable
from mira_ltmemory.store.unit_of_work import Store

AXES = 127 * np.eye(4, dtype=np.int8)
NONE: list[int] = []


def late(query: Sequence[int], *rows: Sequence[int] | None) -> Late:
    """A query and rows, each by the axes that their words point along; a row of none has no token vectors."""
    places = [place for place, row in enumerate(rows) if row is not None]
    held = [list(row) for row in rows if row is not None]
    vectors = AXES[[axis for row in held for axis in row]]
    table = TokenTable(vectors, np.array(places, dtype=np.int64), np.array([len(row) for row in held], dtype=np.int64))
    return Late(AXES[list(query)], table)


def match(found: Candidates, asked: Late) -> list[float]:
    matched = token_match(asked, found, lambda: np.zeros(len(found.rows)))
    assert matched is not None
    return [round(value, 3) for value in matched.tolist()]


def test_each_word_of_the_query_finds_its_best_among_the_rows_words() -> None:
    found = word_matches(late([0, 1], [0, 2, 0], [2], NONE, None), 4)
    assert found[:3].round(3).tolist() == [[1, 0], [0, 0], [0, 0]]
    assert np.isnan(found[3]).all()


def test_a_row_holds_the_share_of_the_words_that_are_asked_for() -> None:
    rows = candidates(*[candidate()] * 5, linked=False)
    assert match(rows, late([0, 1], [0, 1], [0], [1], NONE, NONE)) == [1, 0.5, 0.5, 0, 0]


def test_a_word_that_tells_rows_apart_weighs_more_than_one_that_most_or_none_hold() -> None:
    common, rare, missing = telling(np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0]]))
    assert common == missing < rare
    assert common + rare + missing == pytest.approx(1)
    assert telling(np.zeros((0, 2))).tolist() == [0.5, 0.5]
    rows = candidates(*[candidate()] * 4, linked=False)
    assert match(rows, late([0, 1], [0], [0], [0], [1]))[3] > 0.7


def test_a_short_row_takes_part_in_the_words_before_it_and_more_so_in_a_question() -> None:
    told = candidates(candidate("a boat"), candidate("yes"))
    asked = candidates(candidate("a boat?"), candidate("yes"))
    [_, after_telling], [_, after_question] = (match(each, late([0], [0], NONE)) for each in (told, asked))
    assert 0.7 < after_telling < after_question < 1
    long = candidates(candidate("boat " * 600), candidate("yes " * 600))
    assert match(long, late([0], [0], NONE))[1] < 0.1
    # The message that follows lends less.
    assert 0.6 < match(told, late([0], NONE, [0]))[0] < after_telling
    assert match(long, late([0], NONE, [0]))[0] < 0.1


def test_a_speaker_goes_on_where_they_stopped() -> None:
    rows = (candidate("a boat", speaker="Ann"), candidate("oh", speaker="Ben"), candidate("red", speaker="Ann"))
    own = match(candidates(*rows), late([0], [0], NONE, NONE))
    assert own[2] > 0.6
    other = match(candidates(*rows[:2], candidate("red", speaker="Cy")), late([0], [0], NONE, NONE))
    assert other[2] == 0


def test_a_session_whose_messages_hold_the_words_lifts_all_of_its_own() -> None:
    rows = [candidate(hours=hours) for hours in (0, 0, 0, 9, 9, 9)]
    asked = late([0], [0], [0], NONE, [0], NONE, NONE)
    told = features(candidates(*rows, linked=False), Query(), asked)["session_tokens"]
    assert told[0] == told[1] == told[2] > 0 > told[3] == told[5]


def test_rows_without_token_vectors_stand_among_the_others_by_words_and_meaning() -> None:
    rows = candidates(*[candidate()] * 4, cosine=[0.7, 0.1, 0.7, 0.1], linked=False)
    known = features(rows, Query(), late([0, 1], [0, 1], [2], None, None))["tokens"]
    assert known[0] > known[2] > known[3] > known[1]
    assert token_match(late([0], None, None, None, None), rows, lambda: np.zeros(4)) is None


def test_what_was_just_said_is_found_by_its_words_before_it_has_vectors() -> None:
    """Nine others are a little like the query in meaning and words; the one without vectors holds its very word."""
    rows = candidates(
        *[candidate("a cat")] * 9, candidate("Halloran came"), counts=[[0.0]] * 9 + [[1.0]],
        cosine=[0.4] * 9 + [np.nan], linked=False,
    )  # fmt: skip
    told = features(rows, Query(), late([0], *[[1]] * 9, None))["tokens"]
    assert told[9] > 0.6 > told[0] + 0.3


def test_without_token_vectors_the_ranking_is_the_one_by_words_and_meaning() -> None:
    rows = candidates(candidate(), candidate(), counts=[[1], [0]], cosine=[0.5, 0.1])
    assert rank(rows, Query(), late([0], None, None)).scores.tolist() == rank(rows).scores.tolist()
    ranking = rank(rows, Query(), late([0], [0], NONE))
    told = ranking.of(0)
    assert ranking.scores[0] == pytest.approx(sum(weight * told[name] for name, weight in LATE_WEIGHTS.items()))
    assert set(LATE_WEIGHTS) - {"tokens", "session_tokens"} <= set(WEIGHTS)


def test_words_about_conversations_are_not_asked_for_where_others_remain() -> None:
    tokens = TokenVectors(("summary", "boat"), AXES[:2])
    assert asked_tokens(tokens).tolist() == [AXES[1].tolist()]
    assert len(asked_tokens(TokenVectors(("summary",), AXES[:1]))) == 1
    assert len(asked_tokens(TokenVectors((), AXES[:0]))) == 0


def say(memory: MemoryManager, *contents: str) -> None:
    memory.capture(
        [
            IncomingMessage(
                conversation_id="c", external_id=str(number), role=Role.USER, content=content,
                said_at=memory.clock.now(), origin=Origin.USER, position=number,
            )
            for number, content in enumerate(contents)
        ]
    )  # fmt: skip


TALK = (
    "My sister adopted a grey cat called Pixel.", "The train to Lisbon was late.", "ok", "", "🎉🎉", "it is what it is",
)  # fmt: skip


def test_the_words_of_each_text_are_kept_with_its_vector(memory: MemoryManager) -> None:
    say(memory, *TALK)
    memory.archival.insert("The cellar key hangs behind the door.")
    memory.process_pending()
    with memory.store.read() as unit:
        counted = "SELECT count(*) FROM ltmemory.{} WHERE user_id = :user_id"
        vectors, tokens = (
            unit.tokens.execute(counted.format(table)).scalar_one() for table in ("vectors", "token_vectors")
        )
    assert vectors == tokens > 0
    [best, *_] = memory.recall.search("what did my sister's kitten get for a name").hits
    assert best.content == TALK[0]
    assert best.features["tokens"] > 0.5
    assert "tokens" in memory.archival.search("where is the key to the basement").hits[0].features
    past = memory.as_of(memory.clock.now()).search_messages("what did my sister's kitten get for a name")
    assert past.hits[0].features["tokens"] == pytest.approx(best.features["tokens"], abs=1e-6)


def test_switched_off_nothing_is_kept_and_switched_on_again_it_is_made_up_for(
    make_memory: Callable[..., MemoryManager],
) -> None:
    off = make_memory(late_interaction=False)
    say(off, *TALK)
    off.process_pending()
    assert "tokens" not in off.recall.search("grey cat").hits[0].features
    assert off.embeddings.enqueue_missing(1_000) == 0
    on = make_memory()
    hit = on.recall.search("grey cat").hits[0]
    assert (hit.content, "tokens" in hit.features) == (TALK[0], False)
    assert on.embeddings.enqueue_missing(1_000) == 5
    assert on.process_pending() == 5
    assert "tokens" in on.recall.search("grey cat").hits[0].features
    assert on.embeddings.enqueue_missing(1_000) == 0


def test_an_embedder_without_words_works_as_before(memory: MemoryManager, store: Store) -> None:
    from mira_ltmemory.composition import open_memory

    plain = open_memory(memory.settings.model_copy(update={"user_name": "plain"}), embedder=WordEmbedder())
    say(plain, *TALK)
    plain.process_pending()
    hit = plain.recall.search("grey cat").hits[0]
    assert (hit.content, "tokens" in hit.features) == (TALK[0], False)
    plain.close()


@pytest.mark.parametrize(
    "query", ["the of and", "猫はどこ", "أين القطة", "🎉", "cat' OR 1=1 --", "cat & !dog <-> (x", "?", "cat " * 25_000]
)
def test_any_query_finds_or_finds_nothing(memory: MemoryManager, query: str) -> None:
    say(memory, *TALK, "猫は庭にいます", "القطة في الحديقة")
    memory.process_pending()
    for kind in (Kind.MESSAGE, Kind.PASSAGE):
        result = (memory.recall if kind is Kind.MESSAGE else memory.archival).search(query, Filter(), 5)
        assert len(result.hits) <= 5
        assert all(np.isfinite(hit.score) for hit in result.hits)
