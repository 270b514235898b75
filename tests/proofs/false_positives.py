"""Counts what the redactor takes for a secret in conversations that hold none, or only known ones.

Run it by its name: ``python -m pytest -s tests/proofs/false_positives.py``. ``PROOF_CONVERSATIONS`` names a
folder whose ``*.jsonl`` and ``*.jsonl.gz`` files hold one conversation a line, with a list ``messages`` of objects that
have a ``content``. Without it the demo's sample is read, which holds three secrets.
"""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mira_ltmemory
from mira_ltmemory.demo.script import SAMPLE_SECRETS
from mira_ltmemory.services.redaction import Redactor

FOLDER = os.environ.get("PROOF_CONVERSATIONS")
SAMPLE = Path(mira_ltmemory.__file__).parent / "demo" / "sample"
IN_SAMPLE = 3  # SAMPLE_SECRETS has one more: the card number without its spaces
ONE_IN = 2_000


def test_at_most_one_message_in_two_thousand_is_redacted_for_nothing() -> None:
    redactor = Redactor()
    messages = characters = touched = 0
    kinds: Counter[str] = Counter()
    taken: list[str] = []
    for content in sample() if FOLDER is None else conversations(Path(FOLDER)):
        messages += 1
        characters += len(content)
        redactions = redactor.redact(content)[1]
        touched += bool(redactions)
        kinds.update(redaction.kind for redaction in redactions)
        taken += [content[redaction.start : redaction.end] for redaction in redactions]
    print(
        f"\n{messages:,} messages ({characters:,} characters): "
        f"{touched} redacted, {kinds.total()} redactions {dict(kinds)}"
    )
    assert messages, "no message was read"
    if FOLDER is None:
        assert len(taken) == IN_SAMPLE
        assert len({secret for secret in SAMPLE_SECRETS for text in taken if secret in text}) == IN_SAMPLE
    else:
        assert touched * ONE_IN <= messages


def sample() -> Iterator[str]:
    """What the sample's messages say."""
    for path in sorted(SAMPLE.glob("conversation_*.json")):
        yield from _contents(json.loads(path.read_text("utf-8")), path)


def conversations(folder: Path) -> Iterator[str]:
    """What the messages in a folder's JSON-Lines files say; files of questions have no messages."""
    for path in sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")]):
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    yield from _contents(json.loads(line), path)


def _contents(conversation: dict[str, Any], path: Path) -> Iterator[str]:
    for message in conversation.get("messages", []):
        content = message.get("content")
        if isinstance(content, list):  # of a message's blocks, as MIRA's export writes them
            content = "\n".join(map(str, content))
        assert isinstance(content, str), f"a message in {path.name} has no text"
        yield content
