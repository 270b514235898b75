"""Windows as pure functions: what belongs together, and ids that follow from it."""

from __future__ import annotations

import uuid
from datetime import timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from talking import TALK, message, row

from mira_ltmemory.protocols import Origin, Role
from mira_ltmemory.services.batch.forming import MAX_CHARS, MAX_MESSAGES, form
from mira_ltmemory.services.batch.own_words import OwnWords, grouped
from mira_ltmemory.services.batch.window import Window, WindowMessage
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.services.text import parts_of
from mira_ltmemory.store.batches import BatchRow
from mira_ltmemory.store.unit_of_work import Store

HOUR = timedelta(hours=1)


@given(
    st.lists(
        st.tuples(st.integers(0, 2 * MAX_CHARS), st.floats(0, 90), st.sampled_from([None, 1, 3])),
        min_size=1,
        max_size=60,
    )
)
def test_windows_cover_every_message_once_and_stay_within_bounds(drawn: list[tuple[int, float, int | None]]) -> None:
    rows, minutes = [], 0.0
    for number, (size, gap, limit) in enumerate(drawn):
        minutes += gap
        rows.append(row(number, "x" * size, minutes, limit))
    seen: list[BatchRow] = []
    rest = rows
    while rest:
        window = form(rest, HOUR)
        assert window == rest[: len(window)] and window
        assert len(window) <= (window[0].window_limit or MAX_MESSAGES)
        assert window[-1].said_at - window[0].said_at <= HOUR
        assert len(window) == 1 or sum(len(each.content) for each in window) <= MAX_CHARS
        seen += window
        rest = rest[len(window) :]
    assert seen == rows


def test_ids_follow_from_the_messages_alone() -> None:
    user = uuid.uuid4()
    one = Window.of([row(1), row(2)], [row(0)])
    assert one.row_id(user, "facts", 0) == Window.of([row(1), row(2)]).row_id(user, "facts", 0)
    others = [
        Window.of([row(1)]).row_id(user, "facts", 0),
        one.row_id(user, "facts", 1),
        one.row_id(user, "graph", 0),
        one.row_id(uuid.uuid4(), "facts", 0),
    ]
    assert len({one.row_id(user, "facts", 0), *others}) == 5


def test_a_window_knows_its_own_messages() -> None:
    window = Window.of([row(1), row(2)], [row(0)])
    assert window.message(row(2).id) == window.messages[1]
    assert window.message(row(0).id) is None


@given(st.lists(st.tuples(st.integers(1, 1500), st.floats(0, 40)), max_size=40))
def test_passages_of_own_words_hold_neighbours(drawn: list[tuple[int, float]]) -> None:
    minutes, messages = 0.0, []
    for number, (size, gap) in enumerate(drawn):
        minutes += gap
        messages.append(message("x" * size, number, minutes=minutes))
    groups = list(grouped(messages))
    assert [each for group in groups for each in group] == messages
    for group in groups:
        assert all(b.said_at - a.said_at <= timedelta(minutes=20) for a, b in pairwise(group))
        assert len(group) == 1 or sum(len(each.content) for each in group) <= 1_000


def test_own_words_tell_the_day_in_the_users_zone_and_what_stood_before(store: Store) -> None:
    problems = Problems()
    embeddings = EmbeddingService(store, None, lambda _: 1, problems)
    step = OwnWords(store.user_id, store.clock, embeddings, ZoneInfo("Asia/Tokyo"))
    tool = WindowMessage(
        **{**{name: getattr(message("t", 9), name) for name in message("t").__slots__}, "origin": Origin.WEB}
    )
    before = message("We talked about\nthe garden", 0, Role.ASSISTANT, minutes=865)
    late = message("The roses need water every single day", 1, minutes=869)
    next_day = message("And so do the tomatoes, says Eva", 2, minutes=871)
    window = Window(TALK, (late, tool, next_day), (before,))
    prepared = step.prepare(window)
    assert prepared is not None
    (draft,) = prepared.drafts
    assert draft.content == (
        "2025-05-06 08:59 to 09:01\n(before) Assistant: We talked about the garden\n"
        "User: The roses need water every single day\nUser: And so do the tomatoes, says Eva"
    )
    assert draft.sources == (late.id, next_day.id)
    assert step.prepare(Window(TALK, (message("Thanks!"),))) is None
    assert step.prepare(Window(TALK, (message("好的。"),))) is None
    assert step.prepare(Window(TALK, (message("我搬到了北京。"),))) is not None


def test_a_long_message_becomes_passages_of_its_parts(store: Store) -> None:
    embeddings = EmbeddingService(store, None, lambda _: 1, Problems())
    step = OwnWords(store.user_id, store.clock, embeddings, ZoneInfo("UTC"))
    lines = [f"Line {number} of a long letter about the garden." for number in range(300)]
    prepared = step.prepare(Window(TALK, (message("\n".join(lines), 0),)))
    assert prepared is not None and len(prepared.drafts) == 4
    assert all(len(draft.content) < 4_400 for draft in prepared.drafts)
    kept = "\n".join(draft.content for draft in prepared.drafts)
    assert all(line in kept for line in lines)


@given(st.text(alphabet="ab \n", max_size=500), st.integers(1, 60), st.integers(1, 12))
def test_parts_are_the_text(text: str, size: int, most: int) -> None:
    parts = parts_of(text, size, most)
    assert text.startswith("".join(parts)) and len(parts) <= most
    assert all(1 <= len(part) <= size for part in parts)
    assert "".join(parts) == text or len(parts) == most
