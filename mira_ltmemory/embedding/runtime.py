"""The session, the tokenizer and the threads that run a model: one of each for all who use the same files."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from mira_ltmemory.errors import EmbeddingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mira_ltmemory.protocols import TokenSpace

_T = TypeVar("_T")
_PROJECTION = Path(__file__).parents[1] / "onnx" / "token_projection.onnx"
_ADVICE = "TRANSFORMERS_NO_ADVISORY_WARNINGS"
_NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
_OLDEST = (1, 25)
"""Earlier releases of onnxruntime run the shipped model's attention on the wrong axes: without an error."""


class Runtime:
    """A loaded model. Thread-safe; ``threads`` batches run at once, each in one thread.

    One thread a batch: a batch is small, and waking threads for each of its many steps costs more than they bring.
    """

    def __init__(self, model_path: Path, tokenizer_path: Path, max_tokens: int, threads: int) -> None:
        self.threads = threads
        self.tokenizer = load_tokenizer(tokenizer_path, max_tokens)
        self.session = load_session(model_path)
        self._inputs = [item.name for item in self.session.get_inputs()]

    def run(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Hidden states ``(texts, tokens, hidden)`` of texts that all have the same number of tokens."""
        import numpy as np

        ids = np.array(tokens, dtype=np.int64)
        every = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        states: NDArray[np.float32] = self.session.run(None, {name: every[name] for name in self._inputs})[0]
        return states

    def project(self, states: NDArray[np.float32], places: Sequence[int], space: TokenSpace) -> NDArray[np.int8]:
        """States at ``places`` of ``(n, hidden)`` as vectors of the space: int8, where a length of 1 is 127.

        Not by numpy: its library of products wakes threads of its own, which held up the batches beside it.
        """
        import numpy as np

        given = {
            "states": states, "places": np.array(places, dtype=np.int64), "mean": space.mean, "basis": space.basis
        }  # fmt: skip
        made: NDArray[np.int8] = self._projection.run(None, given)[0]
        return made

    def submit(self, work: Callable[[], _T]) -> Future[_T]:
        """Let the next free thread do something."""
        return self._pool.submit(work)

    def encode(self, texts: Sequence[str], *, offsets: bool) -> list[Any]:
        """Encodings, with ``ids`` and, where asked for, ``offsets``; empty texts have the model's own marks."""
        encoded: list[Any] = (self.tokenizer.encode_batch if offsets else self.tokenizer.encode_batch_fast)(texts)
        return encoded

    @cached_property
    def _projection(self) -> Any:
        return load_session(_PROJECTION)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, thread_name_prefix="ltmemory-embed")


_shared: WeakValueDictionary[tuple[object, ...], Runtime] = WeakValueDictionary()
_lock = threading.Lock()


def shared_runtime(
    model_path: Path, sha256: Callable[[], str], tokenizer_path: Path, max_tokens: int, threads: int
) -> Callable[[], Runtime]:
    """What gives the runtime of these files; it is loaded when first asked for. Raises ``EmbeddingError`` then."""
    held: list[tuple[int, Runtime]] = []

    def get() -> Runtime:
        # A child that was forked has none of its parent's threads.
        process = os.getpid()
        if held and held[0][0] == process:
            return held[0][1]
        key = (process, model_path.absolute(), sha256(), tokenizer_path.absolute(), max_tokens, threads)
        with _lock:
            known = _shared.get(key)
            if known is None:
                known = _shared[key] = Runtime(model_path, tokenizer_path, max_tokens, threads)
        held[:] = [(process, known)]
        return known

    return get


@contextmanager
def foreign_errors(doing: str) -> Iterator[None]:
    """Turn what onnxruntime and the tokenizer raise into ours."""
    try:
        yield
    except (EmbeddingError, MemoryError):
        raise
    except Exception as error:
        # onnxruntime's errors share no base class but Exception.
        raise EmbeddingError(f"Cannot {doing}: {type(error).__name__}: {error}") from error


def load_onnxruntime() -> Any:
    """Import onnxruntime, without its telemetry. This is the only way to it.

    Since 1.29 its official builds write a device id and a store of events to the user's cache as soon as they are
    imported, and upload models' names, errors and run times to Microsoft. The variable has to be set by then; where
    the host has imported it before us, the call still stops what is not sent yet. See its docs/Privacy.md.
    Raises ``EmbeddingError`` where it is too old: nothing may be written with the wrong vectors.
    """
    os.environ[_NO_TELEMETRY] = "1"
    import onnxruntime

    check_release(onnxruntime.__version__)
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def check_release(version: str) -> None:
    """Raise ``EmbeddingError`` where this onnxruntime is older than what the shipped model needs."""
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise EmbeddingError(
            f"onnxruntime {version} is installed, which gives wrong vectors; at least {oldest} is needed: "
            f"pip install 'onnxruntime>={oldest}'."
        )


def load_session(model_path: Path) -> Any:
    """Open a model, to be run by one thread at a time for each call. Raises ``EmbeddingError``."""
    with foreign_errors(f"load the model {model_path}"):
        onnxruntime = load_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if clips_sums():
            # An exact way of 8-bit products, a third as fast. Asked for, it is taken on every processor.
            options.add_session_config_entry("session.x64quantprecision", "1")
        return onnxruntime.InferenceSession(str(model_path), options, providers=["CPUExecutionProvider"])


def clips_sums(machine: str | None = None, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor may clip sums of 8-bit products: x86 without VNNI, and x86 that does not tell."""
    if (machine or platform.machine()).lower() not in ("x86_64", "amd64", "i686"):
        return False
    try:
        lines = cpuinfo.read_text("utf-8", "replace").splitlines()
    except OSError:
        return True
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return not {"avx512_vnni", "avx_vnni"} & set(flags)


def load_tokenizer(folder: Path, max_tokens: int) -> Any:
    """Open the tokenizer of a folder, which cuts and does not pad. Raises ``EmbeddingError``."""
    with foreign_errors(f"load the tokenizer in {folder}"):
        file = folder / "tokenizer.json"
        if file.is_file():
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(str(file))
        elif (folder / "tokenizer_config.json").is_file():
            tokenizer = _converted(folder)
        else:
            raise EmbeddingError(f"The tokenizer file {file} is missing; set onnx_tokenizer to its folder.")
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)
        return tokenizer


def _converted(folder: Path) -> Any:
    """The fast tokenizer that transformers, which takes seconds to import, makes of an older folder's files."""
    before = os.environ.get(_ADVICE)
    os.environ[_ADVICE] = "1"
    try:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(folder, local_files_only=True, use_fast=True).backend_tokenizer
    finally:
        if before is None:
            del os.environ[_ADVICE]
        else:
            os.environ[_ADVICE] = before
