"""How common an English word is: from the vocabulary of the model in the package, whose words stand by frequency."""

from __future__ import annotations

from functools import cache
from math import log
from pathlib import Path

from mira_ltmemory.store.analysis import term_of

_VOCABULARY = Path(__file__).parents[2] / "onnx" / "vocab.txt"
_FIRST_WORD = "the"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


UNKNOWN = 30_000
"""The rank of a word that the vocabulary lacks."""

FILLER = _set(
    """
    absolutely actually agree again already always amazing anyone anything anyway awesome bad basically beautiful
    best better big bit bye can cause chat check cheers come congrats cool course crazy cute day days definitely
    different done else enough even ever every everyone everything exactly excited exciting fantastic feel feeling
    feels felt fine first found friend friends fun gave getting give glad going gonna good got gotta great guess
    guys haha happened happy hard hear heard hello help helped helps honestly hope hoping hour hours idea
    important incredible inspiring interested interesting keep kind kinda knew know last later least less life
    like little long look looked looking looks lot lots love loved lovely made make makes making man many maybe
    mean minute minutes moment month months morning much need needed never new next nice nothing now old one ones
    others part people perfect person place plan plans please pretty probably proud put question quick quite ready
    real really reason recently recommend remember right seem seems seen set share show since someone something
    sometimes soon sorry sound sounds special start started stay still stuff super support sure sweet take taking
    talk thank thanks thing things think thought thoughts time times today together tomorrow tonight took totally
    tried true try trying two understand unique use used using usually wait wanna want wanted wants watch way week
    weekend weeks well went wish won wonder wonderful ability able accept achieve adjust advice afford aim allow
    amount appreciate apply approach area aspect avoid aware balance based become believe benefit bring build calm
    care challenge challenging chance change choice choose clear close comfortable common complete completely
    concerned confident connect consider consistent create curious current deal decide decision deeply depend
    describe develop difference difficult discuss discussion earlier easier easy effect effective effort encourage
    end enjoy ensure especially evening event eventually example expect experience explain explore face fact fair
    fall family fear figure final find finish fit focus follow forward free full fully further future general goal
    grateful grow happen heart highlight hold huge imagine impact improve include increase information inspire
    instead involve issue join journey joy kids kindness lead learn level limit list listen live local low lucky
    main maintain manage matter meaningful meet memory mention mind miss mood motivate move nervous normal note
    notice offer open opportunity option order overall overwhelmed own past path pay peace picture pick point
    positive possible post powerful prefer preference prepare pressure prioritize problem process progress provide
    purpose push quickly raise reach react reduce relate relax rely remain remind respond rest result review role
    run sad safe save section select send sense shape short side similar simple situation skill slow small solve
    specific spend stand state step stop story strategy strength stress stressed strong struggle stuck success
    suggest suggestion surprise tend term tip topic tough track treat turn type update upcoming usual value
    various view visit voice vs welcome willing within without worried worry yours wondering word words work
    working works world worth wrong year years yesterday yet
    """
)
"""Words of everyday talk that are no subject of their own, common or not, in whichever form."""

_FILLER_TERMS = frozenset(map(term_of, FILLER))
_ADVERB_CHARS = 6


def is_filler(word: str) -> bool:
    """Whether an English word is no subject: one of everyday talk, or an adverb."""
    return term_of(word) in _FILLER_TERMS or (word.endswith("ly") and len(word) >= _ADVERB_CHARS)


@cache
def _ranks() -> dict[str, int]:
    try:
        lines = _VOCABULARY.read_text("utf-8").splitlines()
    except OSError:
        return {}
    first = lines.index(_FIRST_WORD) if _FIRST_WORD in lines else 0
    return {word: rank for rank, word in enumerate(lines[first:], 1) if word.isalpha()}


def rank(word: str) -> int:
    """The word's place among English words, the commonest first."""
    return _ranks().get(word, UNKNOWN)


def expected_share(word: str) -> float:
    """What share of all words of a text it is likely to be, by Zipf's law."""
    return 1 / (rank(word) * (log(UNKNOWN) + 0.58))
