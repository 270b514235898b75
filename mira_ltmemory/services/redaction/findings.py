"""What a detector hands to the engine, and the names of the marks."""

from __future__ import annotations

from typing import Final, NamedTuple

API_KEY: Final = "api key"
ACCESS_TOKEN: Final = "access token"  # noqa: S105 - a name
PASSWORD: Final = "password"  # noqa: S105 - a name
PRIVATE_KEY: Final = "private key"
CARD_NUMBER: Final = "card number"
CARD_CODE: Final = "card code"
PIN: Final = "pin"
SEED_PHRASE: Final = "seed phrase"

# Most telling first: where findings of equal certainty overlap, the mark names the first of their kinds.
KINDS: Final = (PRIVATE_KEY, SEED_PHRASE, CARD_NUMBER, API_KEY, ACCESS_TOKEN, CARD_CODE, PIN, PASSWORD)


class Finding(NamedTuple):
    """A secret at `start` up to `end` of the text that was searched; `shaped` where its own form names its kind."""

    start: int
    end: int
    kind: str
    shaped: bool = False


def mark(kind: str) -> str:
    """Return the text that stands in for a secret of this kind."""
    return f"[redacted: {kind}]"
