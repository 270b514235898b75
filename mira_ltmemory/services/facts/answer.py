"""The form of a model's answer about a window."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mira_ltmemory.protocols import in_zone
from mira_ltmemory.store.storable import each_text, storable

MAX_FACTS = 40
MAX_FACT_CHARS = 600

_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2}([T ].+)?)?)?\Z")


def _date(value: str | None) -> str | None:
    if not value or not value.strip():
        return None
    moment(value, UTC)
    return value


def moment(value: str, zone: tzinfo) -> datetime:
    """The beginning of a year, month or day in ``zone``, or a point in time. Raises ``ValueError``."""
    text = value.strip()
    if not _DATE.match(text):
        raise ValueError("a date is YYYY, YYYY-MM or YYYY-MM-DD")
    full = text + {4: "-01-01", 7: "-01"}.get(len(text), "")
    at = datetime.fromisoformat(full)
    return in_zone(at if at.tzinfo is not None else at.replace(tzinfo=zone), UTC)


def end_of(value: str, zone: tzinfo) -> datetime:
    """The first moment after a year, month or day in ``zone``, or a point in time. Raises ``ValueError``."""
    first, text = moment(value, zone), value.strip()
    if len(text) > len("YYYY-MM-DD"):
        return first
    year, month, day = map(int, (text + "-01-01")[:10].split("-"))
    try:
        if len(text) == len("YYYY"):
            after = date(year + 1, 1, 1)
        elif len(text) == len("YYYY-MM"):
            after = date(year + month // 12, month % 12 + 1, 1)
        else:
            after = date(year, month, day) + timedelta(days=1)
    except (ValueError, OverflowError):  # the year 9999, written for "never"
        return datetime.max.replace(tzinfo=UTC)
    return in_zone(datetime.combine(after, time(), zone), UTC)


Date = Annotated[str | None, AfterValidator(_date)]
Text = Annotated[str, BeforeValidator(lambda value: each_text(value, storable))]


class Proposed(BaseModel):
    """One thing that the window says, and what is to become of memory by it."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["add", "supersede", "nothing"]
    text: Text = Field("", max_length=MAX_FACT_CHARS, description="The fact, as one sentence that can stand alone.")
    messages: list[int] = Field(default_factory=list, max_length=50, description="Numbers of the messages that say it.")
    quote: Text = Field("", description="The words that say it, copied from one of these messages.")
    supersedes: list[str] = Field(
        default_factory=list, max_length=10, description="With supersede: the memories that hold no longer, such as a1."
    )
    valid_from: Date = Field(None, description="When it began: YYYY-MM-DD, YYYY-MM or YYYY; none: when it was said.")
    valid_until: Date = Field(None, description="When it ends or ended, if said: YYYY-MM-DD, YYYY-MM or YYYY.")
    confidence: float = Field(0.7, ge=0, le=1, description="How sure it is, 0 to 1.")

    @model_validator(mode="after")
    def _whole(self) -> Proposed:
        if self.action == "nothing":
            return self
        if not self.text.strip():
            raise ValueError("text is missing")
        if self.action == "supersede" and not self.supersedes:
            raise ValueError("supersede needs the memories that hold no longer in supersedes")
        if self.valid_from and self.valid_until and moment(self.valid_from, UTC) > end_of(self.valid_until, UTC):
            raise ValueError("valid_until is before valid_from")
        return self


class Answer(BaseModel):
    """What a window says that is worth keeping; an empty list where it says nothing."""

    model_config = ConfigDict(extra="forbid")

    facts: list[Proposed] = Field(max_length=MAX_FACTS)
