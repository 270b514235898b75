"""The features of the ranking, each explained on its own, and the order that they make."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from ranking import candidate, candidates

from mira_ltmemory.services.search.features import features, known, session_level, sessions
from mira_ltmemory.services.search.periods import Period
from mira_ltmemory.services.search.query import Query
from mira_ltmemory.services.search.rank import WEIGHTS, rank
from mira_ltmemory.store.search import Candidates


def of(name: str, found: Candidates, query: Query | None = None) -> list[float]:
    return [round(value, 6) for value in features(found, query or Query())[name].tolist()]


def test_words_count_as_a_share_of_what_the_query_asks_for() -> None:
    one = of("bm25", candidates(candidate(), counts=[[1]]))
    both = of("bm25", candidates(candidate(), counts=[[1, 1]]))
    half = of("bm25", candidates(candidate(), counts=[[1, 0]]))
    assert one == both
    assert half[0] == pytest.approx(both[0] / 2)


def test_meaning_is_the_centred_cosine_and_the_mean_where_there_is_no_vector() -> None:
    found = candidates(candidate(), candidate(), candidate(), cosine=[0.2, np.nan, 0.4])
    assert of("meaning", found) == [0.2, 0.3, 0.4]
    assert known(np.array([np.nan])).tolist() == [0]
    assert known(np.array([])).tolist() == []


def test_a_short_message_takes_part_in_the_words_beside_it_and_a_long_one_hardly() -> None:
    long = candidate("word " * 600)
    found = candidates(candidate(), candidate("yes"), long, counts=[[1], [0], [0]])
    value = features(found, Query())["bm25_around"]
    assert value[1] > 0.3
    assert value[2] == 0  # its neighbour holds no word
    beside = features(candidates(candidate(), long, counts=[[1], [0]]), Query())["bm25_around"]
    assert 0 < beside[1] < value[1] / 5


def test_the_answer_to_a_question_about_it_is_a_reply() -> None:
    found = candidates(candidate("Which boat?"), candidate("the red one"), candidate("good"), cosine=[0.8, 0.1, 0.1])
    assert [value > 0 for value in of("reply", found)] == [False, True, False]


def test_sessions_end_with_the_conversation_or_a_pause_of_hours() -> None:
    found = candidates(
        candidate(conversation="a"),
        candidate(conversation="a", hours=1),
        candidate(conversation="a", hours=9),
        candidate(conversation="b", hours=9),
    )
    assert sessions(found).tolist() == [0, 0, 1, 2]
    passages = candidates(candidate(conversation=None), candidate(conversation=None))
    assert sessions(passages).tolist() == [0, 1]
    assert sessions(candidates()).tolist() == []


def test_a_session_with_several_good_candidates_lifts_all_of_its_own() -> None:
    session = np.array([0, 0, 0, 0, 1, 2])
    level = session_level(np.array([0.9, 0.9, 0.9, 0.0, 0.9, 0.0]), session)
    assert len(set(level[:4].tolist())) == 1
    assert level[0] > level[4] > level[5]


def test_a_question_is_seldom_the_answer() -> None:
    assert of("question", candidates(candidate("Which one?"), candidate("this? yes"))) == [pytest.approx(0.967742), 0]


def test_the_person_asked_about_speaks_for_themselves() -> None:
    found = candidates(candidate(speaker="Ann"), candidate(speaker="Ben"), candidate())
    assert of("speaker", found, Query(people=("Ann",))) == [1, 0, 0]
    assert of("other_speaker", found, Query(people=("Ann",))) == [0, 1, 1]
    assert of("other_speaker", found, Query(people=("Ann", "Ben"))) == [0, 0, 0]
    assert of("speaker", found) == of("other_speaker", found) == [0, 0, 0]
    joined = Query(people=("Ann", "Ben"), together=True)
    assert (of("speaker", found, joined), of("other_speaker", found, joined)) == ([1, 1, 0], [0, 0, 1])


def test_sides_count_only_between_a_user_and_an_assistant() -> None:
    found = candidates(candidate(role="user"), candidate(role="assistant"), candidate(role="tool"))
    assert of("user", found, Query(sides=True, owner=True)) == [1, 0, 0]
    assert of("user", found, Query(sides=True)) == [0.7, 0, 0]  # it does not say whose
    assert of("user", found, Query(sides=True, owner=True, assistant=True)) == [0.7, 0, 0]  # "what did you say to me"
    assert of("assistant_summary", found, Query(sides=True, summary=True)) == [0, 1, 0]
    assert of("assistant_asked", found, Query(sides=True, assistant=True)) == [0, 1, 0]
    assert of("assistant_asked", found, Query(sides=True)) == [0, 0, 0]
    named = Query(sides=True, assistant=True, assistant_named=True)
    assert (of("user", found, named), of("assistant_asked", found, named)) == ([0, 0, 0], [0, 1, 0])
    assert of("user", found) == [0, 0, 0]


def test_what_is_asked_of_a_person_is_told_in_the_first_person() -> None:
    found = candidates(candidate("I paint"), candidate("painting is fun"))
    assert of("first_person", found, Query(owner=True)) == [1, 0]
    assert of("first_person", found, Query(people=("Ann",))) == [1, 0]
    assert of("first_person", found) == [0, 0]


def test_a_date_fits_the_day_and_fades_beside_it() -> None:
    day = date(2025, 1, 1).toordinal()
    found = candidates(candidate(), candidate(hours=24), candidate(hours=24 * 60))
    same, next_day, far = of("date", found, Query(periods=(Period(day, day, 1, 3),)))
    assert same == 1
    assert same > next_day > far
    assert of("date", found) == [0, 0, 0]


def test_times_and_names_count_where_they_are_asked_for() -> None:
    found = candidates(candidate("it was last week"), candidate("we met Zoe and Ann in Oslo"), candidate("hm"))
    assert of("time_told", found, Query(when=True)) == [1, 0, 0]
    assert of("name_told", found, Query(named=True)) == [0, 2, 0]
    assert of("name_told", found, Query(named=True, known_names=frozenset({"Ann", "Zoe"}))) == [0, 1, 0]
    assert of("time_told", found) == of("name_told", found) == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("We went camping two weekends ago! What've you been up to?", True),
        ("Yesterday I took the kids to the museum", True),
        ("I ran a race last Sat.", True),
        ("I've been painting lately", True),
        ("It was hard the past few months", True),
        ("Last January we moved. The past six  weeks went by quickly", True),
        ("We met the other evening", True),
        ("It ran for the last 5 days", True),
        ("My dragon got away", False),  # "ago" inside of a word
        ("That lasts a lifetime, and the last page is the best", False),
        ("We last sat there, in the last sun", False),
        ("The last day to apply is Friday", False),
        ("We walked past the house", False),
        ("I will go tomorrow", False),
    ],
)
def test_what_happened_is_told_with_its_time(text: str, told: bool) -> None:
    assert of("happened", candidates(candidate(text, role="user"))) == [told]
    assert of("happened", candidates(candidate(text))) == [0]  # a passage


def test_who_begins_a_talk_brings_news() -> None:
    day = candidates(*(candidate(hours=hours) for hours in (0, 0, 0, 0, 0, 9, 9)))
    assert of("opening", day) == [1, 0.75, 0.5, 0.25, 0, 1, 0.75]
    assert of("opening", candidates(candidate(), candidate(hours=9), linked=False)) == [0, 0]


@pytest.mark.parametrize(
    ("text", "standing"),
    [
        ("Always answer in French.", True),
        ("Thanks! Please never suggest fish.", True),
        ("- always use metric", True),
        ("Okay, always answer first", True),
        ("(Always answer in French)", True),
        ("Can you always include sources?", True),
        ("I prefer that you always cite", True),
        ("Always embed the chart", True),
        ("From now on, call me Sam", True),
        ("Use metric units whenever I ask about recipes", True),
        ("When I say hi, reply in French", True),
        ("remember that I am allergic to nuts", True),
        ("Please remember I'm vegan", True),
        ("Don't forget that I'm vegan", True),
        ("You should always cite the source", True),
        ("Always wanted to see it. Never been there, never mind.", False),
        ("Never came back. Never told anyone. Never enough time!", False),
        ("Always happy to help! Always at work.", False),
        ("He's kind, always smiling", False),
        ("I always run in the morning", False),
        ("She never came back", False),
        ("Do you remember that film?", False),
        ("Remember my dog Max?", False),
        ("The project is going forward", False),
        ("When I ask my kids to clean up, they ignore me", False),
        ("If I ask my boss for a raise, what should I say?", False),
    ],
)
def test_an_instruction_counts_for_what_is_near_its_subject(text: str, standing: bool) -> None:
    rows = candidate(text, role="user"), candidate(text, role="user"), candidate(text, role="assistant")
    near, far, said = of("instruction", candidates(*rows, cosine=[0.5, -0.2, 0.5]), Query(sides=True))
    assert (near, far, said) == (0.5 * standing, 0, 0)
    assert of("instruction", candidates(*rows, cosine=[0.5, -0.2, 0.5])) == [0, 0, 0]  # people among themselves


def test_the_score_is_the_weighted_sum_of_the_features() -> None:
    found = candidates(candidate("I was there last week?"), candidate("no"), counts=[[2], [0]], cosine=[0.5, 0.1])
    ranking = rank(found, Query(when=True, owner=True))
    for index in range(2):
        told = ranking.of(index)
        assert ranking.scores[index] == pytest.approx(sum(weight * told[name] for name, weight in WEIGHTS.items()))
    assert ranking.scores[0] > ranking.scores[1]


def test_without_vectors_the_cosine_is_left_out_and_nothing_fails() -> None:
    ranking = rank(candidates(candidate(), candidate()))
    assert "cosine" not in ranking.of(0)
    assert not np.isnan(ranking.scores).any()
    assert rank(candidates()).scores.shape == (0,)
