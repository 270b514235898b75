"""Where statements belong in time, in whatever order they are read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from mira_ltmemory.services.graph.periods import Period, Statement, place

DAY = datetime(2025, 2, 1, tzinfo=UTC)
ROME, BERLIN, OSLO = (UUID(int=number) for number in range(1, 4))


def read(told: list[tuple[int, UUID, int | None]]) -> list[Period]:
    """Place statements (day, object, since which day) in this order."""
    periods: list[Period] = []
    for day, object, since in told:
        at, begins = DAY + timedelta(days=day), None if since is None else DAY + timedelta(days=since)
        source = uuid5(object, f"{day} {since}")
        placed = place(periods, Statement({object}, source, at, begins))
        for period, until in placed.ends:
            period.until = until
        if placed.same is None:
            periods.append(Period(uuid5(source, "row"), object, begins, placed.until, [at], {source}))
        elif source not in placed.same.sources:
            placed.same.said.append(at)
            placed.same.sources.add(source)
            placed.same.valid_from = placed.begins or placed.same.valid_from
    return periods


def spans(told: list[tuple[int, UUID, int | None]]) -> set[tuple[UUID, int, int | None]]:
    return {
        (each.object, (each.start - DAY).days, None if each.until is None else (each.until - DAY).days)
        for each in read(told)
    }


def test_who_moves_back_lives_there_again() -> None:
    told = [(2, ROME, None), (10, BERLIN, None), (20, ROME, None)]
    assert spans(told) == {(ROME, 2, 10), (BERLIN, 10, 20), (ROME, 20, None)}
    assert spans([*told, *told]) == spans(told), "what was read before changes nothing"


def test_what_is_older_and_read_later_ended_when_the_next_was_said() -> None:
    assert spans([(20, ROME, None), (10, BERLIN, None)]) == {(ROME, 20, None), (BERLIN, 10, 20)}
    assert spans([(20, ROME, None), (10, ROME, None)]) == {(ROME, 10, None)}
    assert spans([(2, ROME, None), (20, OSLO, None), (10, BERLIN, None)]) == {
        (ROME, 2, 10), (BERLIN, 10, 20), (OSLO, 20, None),
    }  # fmt: skip


def test_since_when_and_plans() -> None:
    assert spans([(2, ROME, None), (10, BERLIN, 5)]) == {(ROME, 2, 5), (BERLIN, 5, None)}
    assert spans([(2, ROME, None), (10, BERLIN, 30), (12, ROME, None)]) == {(ROME, 2, 30), (BERLIN, 30, None)}
    assert spans([(10, ROME, None), (12, ROME, 3)]) == {(ROME, 3, None)}
    # Said on day 20 to hold since day 1, against what was said on day 10: the last word counts.
    assert spans([(2, ROME, None), (10, BERLIN, None), (20, ROME, 1)]) == {
        (ROME, 2, 10), (BERLIN, 10, 20), (ROME, 1, None),
    }  # fmt: skip


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from([ROME, BERLIN, OSLO]), st.none()),
        min_size=1,
        max_size=12,
        unique_by=lambda each: each[0],
    ).flatmap(lambda told: st.permutations(told))
)
def test_the_newest_statement_holds_whatever_the_order(told: list[tuple[int, UUID, int | None]]) -> None:
    periods = read(told)
    _, object, _ = max(told)
    assert [each.object for each in periods if each.until is None] == [object]
    assert all(each.until is None or each.start < each.until for each in periods)
    assert sum(len(each.said) for each in periods) == len(told)
    assert len(read([*told, *told])) == len(periods)
