from __future__ import annotations

from collections.abc import Callable

Run = Callable[..., str]


def test_reviews_are_made_shown_and_listed(run: Run) -> None:
    assert "no review yet" in run("review")
    assert "no review yet" in run("review", "list")
    made = run("review", "run")
    assert "# Weekly review, " in made and "there is no language model" in made
    number = made.split("Change set ")[1].split(":")[0]
    assert run("review", "show") == run("review", "show", number) == run("review") == made
    assert number in run("review", "list")
    assert "There is no review that is change set 9999" in run("review", "show", "9999", code=1)
    assert "changed no row" in run("undo", number, "--yes", code=1)


def test_a_review_that_is_switched_off_says_so(run: Run) -> None:
    told = run("review", "run", code=1, LT_MEMORY_AUTOMATIONS__WEEKLY_REVIEW__ENABLED="false")
    assert "weekly_review is switched off" in told
