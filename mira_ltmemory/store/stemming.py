"""The English stemmer. Stems are kept in the word index, so they must not depend on what else is installed."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from snowballstemmer.english_stemmer import EnglishStemmer


def english_stemmer() -> Any:
    """PyStemmer's, many times as fast, where it is installed and has the same Snowball; else snowballstemmer's own.

    `snowballstemmer.stemmer` would take PyStemmer of whatever version.
    """
    try:
        import Stemmer
    except ImportError:
        return EnglishStemmer()
    same = _series(Stemmer.version()) == _series(version("snowballstemmer"))
    return Stemmer.Stemmer("english") if same else EnglishStemmer()


def _series(told: str) -> list[str]:
    return told.split(".")[:2]
