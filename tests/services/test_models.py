"""Changing the embedding model in place, with a second model of another dimension."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from doubles import FixedClock, WordEmbedder
from second_model import write_second_model

from mira_ltmemory.composition import MemoryManager, open_memory
from mira_ltmemory.composition.models import open_path
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.embedding.onnx import OnnxEmbedder
from mira_ltmemory.errors import EmbeddingError, InvalidArgument
from mira_ltmemory.protocols import JobRun
from mira_ltmemory.services.embeddings import PROBLEM
from mira_ltmemory.services.models import SUBJECT

TEXTS = [f"{who} {what}" for who in ("Anna", "Bruno", "Carla", "Dora") for what in (
    "adopted a grey cat", "moved to Lisbon last year", "plays the violin", "is allergic to peanuts",
    "bought a red bicycle", "works at the harbour",
)]  # fmt: skip


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_second_model(tmp_path_factory.mktemp("second"))


def states(memory: MemoryManager) -> dict[str, tuple[str, int, int]]:
    return {each.known.model.name: (each.known.state, each.vectors, each.missing) for each in memory.models.known()}


def number_of(memory: MemoryManager, name: str) -> int:
    return next(each.known.number for each in memory.models.known() if each.known.model.name == name)


def found(memory: MemoryManager, query: str) -> tuple[str, tuple[str, ...]]:
    result = memory.archival.search(query)
    return result.hits[0].content, result.notes


@pytest.fixture
def words() -> WordEmbedder:
    return WordEmbedder()


@pytest.fixture
def filled(make_memory: Callable[..., MemoryManager], config: MemoryConfig, clock: FixedClock) -> MemoryManager:
    """A memory of short passages under a model without files."""
    memory = open_memory(config, clock=clock, embedder=WordEmbedder())
    for text in TEXTS:
        memory.archival.insert(text)
    return memory


def test_the_first_model_that_is_used_is_the_one_in_use(filled: MemoryManager) -> None:
    assert states(filled) == {"words": ("active", len(TEXTS), 0)}
    with pytest.raises(InvalidArgument, match="in use already"):
        filled.models.change()
    with pytest.raises(InvalidArgument, match="not dropped"):
        filled.models.drop(number_of(filled, "words"))
    with pytest.raises(InvalidArgument, match="no model 99"):
        filled.models.drop(99)
    filled.close()


def test_a_model_is_changed_while_both_are_read(filled: MemoryManager, second: Path, clock: FixedClock) -> None:
    memory = filled
    before = found(memory, "Carla violin")
    memory.models.change(open_path(memory.settings, second, None, None))
    assert states(memory)["second"] == ("filling", 0, len(TEXTS))
    assert memory.models.cut_over().missing == len(TEXTS)
    # Stopped and resumed: what is stored stays.
    memory.models._open(memory.models.known()[-1].known)  # the file is there
    assert memory.models.fill(may_go_on=lambda: False) == 0
    shown: list[tuple[str, int, int]] = []
    assert memory.models.fill(lambda *each: shown.append(each)) == len(TEXTS)
    assert shown[-1] == ("embedding", len(TEXTS), len(TEXTS))
    # Searches use the old model, and a new text gets both vectors.
    assert found(memory, "Carla violin") == before
    memory.archival.insert("Emil repairs clocks")
    assert states(memory) == {"words": ("active", len(TEXTS) + 1, 0), "second": ("filling", len(TEXTS), 1)}
    assert memory.models.fill() == 1
    outcome = memory.models.cut_over()
    assert outcome.done
    assert outcome.sampled > 10
    assert outcome.overlap is not None
    assert outcome.overlap > 0.5  # both are about shared words
    assert memory.embeddings.model == (number_of(memory, "second"), 48)
    assert found(memory, "Carla violin")[0] == "Carla plays the violin"
    assert states(memory) == {"words": ("retired", len(TEXTS) + 1, 0), "second": ("active", len(TEXTS) + 1, 0)}
    # The old vectors go later.
    assert "dropped_vectors" not in memory.models.work()
    clock.advance(days=8)
    assert memory.models.work() == {"dropped_vectors": len(TEXTS) + 1}
    assert set(states(memory)) == {"second"}
    assert found(memory, "Carla violin")[0] == "Carla plays the violin"
    memory.close()


def test_another_process_goes_on_with_the_model_that_was_changed_to(
    filled: MemoryManager, second: Path, config: MemoryConfig, clock: FixedClock
) -> None:
    other = open_memory(config, clock=clock, embedder=WordEmbedder())
    filled.models.change(open_path(filled.settings, second, None, None))
    filled.models.fill()
    assert filled.models.cut_over().done
    # It still reads the old vectors, until its next job.
    assert other.embeddings.model == (number_of(filled, "words"), 384)
    assert found(other, "Carla violin")[0] == "Carla plays the violin"
    other.models.refresh()
    assert other.embeddings.model == (number_of(filled, "second"), 48)
    # Started anew with the settings of before, it opens the files of the model in use.
    again = open_memory(config, clock=clock, embedder=WordEmbedder())
    assert again.embeddings.model == (number_of(filled, "second"), 48)
    assert PROBLEM not in again.problems.all()
    for memory in (filled, other, again):
        memory.close()


def test_a_model_that_answers_otherwise_is_not_changed_to_unasked(
    filled: MemoryManager, tmp_path: Path, clock: FixedClock
) -> None:
    strict = open_memory(
        filled.settings.model_copy(update={"model_change_overlap": 1.0}), clock=clock, embedder=WordEmbedder()
    )
    strict.models.change(open_path(strict.settings, write_second_model(tmp_path, seed=1), None, None))
    counts = strict.models.work()
    assert counts == {"embedded_anew": len(TEXTS), "model_changed": 0}
    assert "at least 100% are wanted" in strict.problems.all()[SUBJECT]
    assert states(strict)["words"][0] == "active"
    assert strict.models.work() == {"embedded_anew": 0}
    assert strict.models.cut_over(force=True).done
    assert SUBJECT not in strict.problems.all()
    assert states(strict)["second"][0] == "active"
    filled.close()
    strict.close()


def test_a_change_is_ended_by_dropping_what_was_filled(filled: MemoryManager, second: Path) -> None:
    number = filled.models.change(open_path(filled.settings, second, None, None))
    filled.models.fill()
    assert filled.models.drop(number) == len(TEXTS)
    assert states(filled) == {"words": ("active", len(TEXTS), 0)}
    assert filled.models.cut_over().reason == "No model is being filled."
    assert filled.models.fill() == 0
    filled.close()


def test_the_hourly_job_goes_on_with_a_change(filled: MemoryManager, second: Path, clock: FixedClock) -> None:
    filled.models.change(open_path(filled.settings, second, None, None))
    job = next(job for job in filled.jobs() if job.name == "process_conversations")
    from mira_ltmemory.protocols import Actor, Change

    report = job.run(JobRun(name=job.name, scheduled_for=clock.now(), change=Change(Actor.SYSTEM, job.name)))
    assert (report.counts["embedded_anew"], report.counts["model_changed"]) == (len(TEXTS), 1)
    assert states(filled)["second"][0] == "active"
    filled.close()


@pytest.mark.parametrize("trouble", ["changed", "missing"])
def test_a_file_that_changed_or_is_gone_is_told_and_nothing_is_written(
    config: MemoryConfig, clock: FixedClock, tmp_path: Path, trouble: str
) -> None:
    path = write_second_model(tmp_path / "model")
    settings = config.model_copy(update={"onnx_model_path": path, "embedding_dim": 48})
    first = open_memory(settings, clock=clock)
    for text in TEXTS[:6]:
        first.archival.insert(text)
    assert PROBLEM not in first.problems.all()
    first.close()
    if trouble == "changed":
        write_second_model(tmp_path / "model", seed=5)
    else:
        path.unlink()
    memory = open_memory(settings, clock=clock)
    said = memory.problems.all()[PROBLEM]
    assert said.startswith("off: ")
    assert {"changed": "has changed since", "missing": "is missing"}[trouble] in said
    assert "mira-ltmemory model change" in said
    status = next(part for part in memory.providers() if part.name == "memory_status")
    assert "search by meaning" in str(status.render())
    content, notes = found(memory, "violin")
    assert content == "Anna plays the violin"
    assert any("by words only" in note for note in notes)
    memory.archival.insert("Emil repairs clocks")
    memory.process_pending()
    vectors = {name: count for name, (_, count, _) in states(memory).items()}
    assert vectors == {"second": 6}
    if trouble == "missing":
        with pytest.raises(EmbeddingError, match="cannot be used"):
            memory.models.change()
    else:
        # What the problem says helps: every text is embedded anew.
        memory.models.change()
        assert memory.models.fill() == 7
        assert memory.models.cut_over(force=True).done
        assert PROBLEM not in memory.problems.all()
        assert any("by words only" in note for note in found(memory, "violin")[1]) is False
    memory.close()


def test_a_configured_model_of_another_dimension_waits_for_a_change(
    filled: MemoryManager, second: Path, config: MemoryConfig, clock: FixedClock
) -> None:
    """The vectors are of a model without files, which cannot be opened again: words only, until asked."""
    filled.close()
    settings = config.model_copy(update={"onnx_model_path": second, "embedding_dim": 48})
    memory = open_memory(settings, clock=clock)
    assert "384 dimensions" in memory.problems.all()[PROBLEM]
    assert not memory.embeddings.available
    assert found(memory, "Carla violin")[0] == "Carla plays the violin"
    memory.models.change()
    memory.models.fill()
    assert memory.models.cut_over().done
    assert memory.embeddings.available
    memory.close()


def test_a_configured_model_that_is_gone_leaves_the_one_in_use(
    filled: MemoryManager, second: Path, config: MemoryConfig, clock: FixedClock, tmp_path: Path
) -> None:
    filled.models.change(open_path(filled.settings, second, None, None))
    filled.models.fill()
    assert filled.models.cut_over().done
    filled.close()
    memory = open_memory(config.model_copy(update={"onnx_model_path": tmp_path / "gone.onnx"}), clock=clock)
    assert memory.embeddings.model is not None
    assert memory.embeddings.model[1] == 48
    assert PROBLEM not in memory.problems.all()
    assert "The one of the stored vectors is used" in memory.problems.all()[SUBJECT]
    memory.close()


def test_what_is_erased_while_a_model_is_filled_leaves_no_vector(
    filled: MemoryManager, second: Path, embedder: OnnxEmbedder
) -> None:
    number = filled.models.change(open_path(filled.settings, second, None, None))
    filled.models.fill()
    receipt = filled.erasure.erase(filled.erasure.preview(subject="Bruno"))
    assert receipt.complete
    kept = [text for text in TEXTS if "Bruno" not in text]
    assert {each.vectors for each in filled.models.known()} == {len(kept)}
    with filled.store.read() as unit:
        left = unit.vectors.execute(
            "SELECT count(*) FROM ltmemory.vectors v WHERE v.user_id = :user_id AND v.model_id = :number "
            "AND NOT EXISTS (SELECT FROM ltmemory.passages p WHERE p.user_id = v.user_id AND p.id = v.row_id)",
            number=number,
        ).scalar_one()
    assert left == 0
    filled.close()
