"""Stems are the same whatever else is installed."""

from __future__ import annotations

import sys
from importlib.metadata import version
from types import ModuleType

import pytest
from snowballstemmer.english_stemmer import EnglishStemmer

from mira_ltmemory.store.stemming import english_stemmer

WORDS = ("generously", "skies", "dying", "gardening", "proceed", "internationally", "was", "a")


class Other:
    """A PyStemmer of some version, whose stems differ."""

    def __init__(self, _language: str) -> None:
        pass

    def stemWord(self, word: str) -> str:
        return f"other {word}"


def installed(monkeypatch: pytest.MonkeyPatch, told: str | None) -> None:
    module = None
    if told is not None:
        module = ModuleType("Stemmer")
        module.version = lambda: told  # type: ignore[attr-defined]
        module.Stemmer = Other  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "Stemmer", module)


@pytest.mark.parametrize("told", [None, "2.2.0", "99.0"])
def test_another_version_is_not_used(monkeypatch: pytest.MonkeyPatch, told: str | None) -> None:
    installed(monkeypatch, told)
    stemmer, pure = english_stemmer(), EnglishStemmer()
    assert [stemmer.stemWord(word) for word in WORDS] == [pure.stemWord(word) for word in WORDS]


def test_the_same_version_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, ".".join([*version("snowballstemmer").split(".")[:2], "77"]))
    assert english_stemmer().stemWord("skies") == "other skies"


def test_it_gives_the_same_stems() -> None:
    stemmer, pure = english_stemmer(), EnglishStemmer()
    assert [stemmer.stemWord(word) for word in WORDS] == [pure.stemWord(word) for word in WORDS]
