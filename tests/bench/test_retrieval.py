"""``bench retrieval`` on a small conversation of our own."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mira_ltmemory.bench.retrieval import Outcome, Stranger, abstention_table, figures
from mira_ltmemory.bench.retrieval_data import read_cases
from mira_ltmemory.cli.app import app
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.errors import ImportFileError

SAID = [
    ("user", "Our boat needs a new coat of varnish before June."),
    ("assistant", "Two coats of spar varnish would hold for a season."),
    ("user", "My brother Olaf grows leeks behind the old mill."),
    ("assistant", "Leeks like a deep, loose soil."),
]


def _write(folder: Path, packed: bool = False, **changed: object) -> Path:
    messages = [
        {
            "id": f"m{number}",
            "role": role,
            "speaker": role,
            "timestamp": f"2025-03-0{number + 1}T10:00:00",
            "content": text,
        }
        for number, (role, text) in enumerate(SAID)
    ]
    question = {
        "question_id": "q1",
        "conversation_id": "c1",
        "question": "What does my brother grow?",
        "category": "single",
        "evidence": ["m2"],
        **changed,
    }
    unanswered = {**question, "question_id": "q2", "evidence": []}
    files = {
        "own.conversations.jsonl": [{"conversation_id": "c1", "messages": messages}],
        "own.questions.jsonl": [question, unanswered],
    }
    for name, records in files.items():
        lines = "".join(json.dumps(record) + "\n" for record in records).encode()
        (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(lines) if packed else lines)
    return folder


def test_figures_of_a_ranking() -> None:
    found = figures(["x", "a", "y", "z", "w", "b"], frozenset({"a", "b", "c"}))
    assert found["R@5"] == pytest.approx(1 / 3)
    assert found["R@10"] == pytest.approx(2 / 3)
    assert found["all@10"] == 0
    assert found["any@10"] == 1
    assert found["MRR"] == 0.5
    assert figures(["a"], frozenset({"a"})) == dict.fromkeys(found, 1.0)
    assert figures([], frozenset({"a"})) == dict.fromkeys(found, 0.0)


@pytest.mark.parametrize("packed", [False, True])
def test_files_are_read_packed_or_not(tmp_path: Path, packed: bool) -> None:
    [case] = read_cases(_write(tmp_path, packed), MemoryConfig(timezone="Europe/Berlin").zone)
    assert (case.dataset, case.conversation_id, len(case.messages), len(case.questions)) == ("own", "c1", 4, 2)
    assert case.messages[0].said_at.isoformat() == "2025-03-01T10:00:00+01:00"
    assert case.messages[0].speaker is None


def test_what_cannot_be_read_is_told_by_file_and_line(tmp_path: Path) -> None:
    zone = MemoryConfig().zone
    with pytest.raises(ImportFileError, match="no directory"):
        read_cases(tmp_path / "gone", zone)
    with pytest.raises(ImportFileError, match="holds no file"):
        read_cases(tmp_path, zone)
    _write(tmp_path, evidence="m2")
    with pytest.raises(ImportFileError, match=r"own\.questions\.jsonl, line 1: evidence"):
        read_cases(tmp_path, zone)
    (tmp_path / "own.questions.jsonl").unlink()
    with pytest.raises(ImportFileError, match=r"no own\.questions\.jsonl beside it"):
        read_cases(tmp_path, zone)


def test_the_command_prints_the_figures_and_leaves_nothing_behind(
    tmp_path: Path, make_place: Callable[[], Path]
) -> None:
    place = make_place()
    out = tmp_path / "figures.json"
    arguments = ["bench", "retrieval", "--data", str(_write(tmp_path)), "--place", str(place), "--out", str(out)]
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "4 messages of 1 conversations" in done.output
    assert "single" in done.output
    [outcome] = json.loads(out.read_text())
    assert outcome["figures"]["R@5"] == 1.0
    assert list(place.iterdir()) == []


def test_questions_of_another_conversation_are_told_apart() -> None:
    outcomes = [Outcome("d", "single", str(n), figures(["a"], frozenset("a")), likely=n > 0) for n in range(4)]
    strange = [Stranger("d", str(n), likely=False) for n in range(2)]
    table = abstention_table([*outcomes, Outcome("d", "adversarial", "x", {}, likely=False)], strange)
    assert [list(column.cells) for column in table.columns] == [["d"], ["4"], ["2"], ["0.250"], ["1.000"]]
