"""The graph of the embedder, node by node (no torch): in 32 bits, where it can be measured, or in 8 bits.

Each text of a run has the same number of tokens: nothing is padded, so that there is no mask. What is added to every
key changes no attention, and what is added to every value is added once to each token: both biases are folded away.

In 8 bits, a linear step reads uint8, rounded with one scale and one zero that were measured beforehand, so that a
vector does not depend on what is beside it in the batch, and nothing has to look for a range:
    QuantizeLinear(x / even) @ int8 W * (a scale for each output) + bias
Sum and LayerNormalization stand apart on purpose: fused to SkipLayerNormalization, onnxruntime 1.31 takes ten times as
long for them. Attention is the operator of ONNX's opset 23, which takes two thirds of MultiHeadAttention's time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import onnx
from onnx import TensorProto, helper, numpy_helper

LAYERS, HEADS, DIM, EPS = 6, 12, 384, 1e-12
OPSET = 23
PARTS = {"qkv": ("query", "key", "value"), "att": ("att",), "up": ("up",), "down": ("down",)}
"""What reads the same input, by the name of the input, in the order in which a layer runs."""

_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "att": "attention.output.dense",
    "up": "intermediate.dense",
    "down": "output.dense",
}

Weights = Mapping[str, np.ndarray]


@dataclass
class Small:
    """An int8 matrix ``[out, in]``, the scale of each output, and what is added to it."""

    matrix: np.ndarray
    step: np.ndarray
    bias: np.ndarray | None


@dataclass
class Input:
    """How an input is rounded to uint8: its divisors by channel, if any, its scale and its zero; and what reads it."""

    even: np.ndarray | None
    scale: float
    zero: int
    readers: dict[str, Small]


def linear(w: Weights, layer: int, reader: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The ``[out, in]`` matrix and the bias of a linear step, those of keys and values folded away."""

    def read(name: str, what: str) -> np.ndarray:
        return w[f"encoder.layer.{layer}.{_NAMES[name]}.{what}"]

    matrix = read(reader, "weight")
    if reader in ("key", "value"):
        return matrix, None
    bias = read(reader, "bias")
    return matrix, bias + matrix @ read("value", "bias") if reader == "att" else bias


def build(w: Weights, inputs: Mapping[str, Input] | None = None) -> onnx.ModelProto:
    """The model; without ``inputs`` in 32 bits, where what linear steps read are outputs too, as ``l0.qkv``."""
    nodes: list[onnx.NodeProto] = []
    inits: dict[str, onnx.TensorProto] = {}
    taps: list[str] = []

    def const(name: str, value: Any, dtype: Any = np.float32) -> str:
        inits[name] = numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name)
        return name

    def op(kind: str, ins: list[str], out: str, **attrs: Any) -> str:
        domain = "" if onnx.defs.has(kind) else "com.microsoft"
        nodes.append(helper.make_node(kind, ins, [out], out, domain=domain, **attrs))
        return out

    def norm(x: str, name: str, out: str) -> str:
        ins = [
            x,
            const(f"{out}.weight", w[f"{name}.LayerNorm.weight"]),
            const(f"{out}.bias", w[f"{name}.LayerNorm.bias"]),
        ]
        return op("LayerNormalization", ins, out, axis=-1, epsilon=EPS)

    def words() -> str:
        table = w["embeddings.word_embeddings.weight"]
        if inputs is None:
            return op("Gather", [const("word.w", table), "input_ids"], "word")
        step = np.maximum(np.abs(table).max(1, keepdims=True), 1e-9) / 127
        small = op("Gather", [const("word.w", np.rint(table / step), np.int8), "input_ids"], "word.i8")
        large = op("Cast", [small], "word.f32", to=TensorProto.FLOAT)
        return op("Mul", [large, op("Gather", [const("word.step", step), "input_ids"], "word.scale")], "word")

    def read(x: str, layer: int, part: str) -> list[str]:
        """What the linear steps make that read x."""
        name = f"l{layer}.{part}"
        if inputs is None:
            taps.append(op("Identity", [x], name))
            return [full(x, layer, reader) for reader in PARTS[part]]
        given = inputs[name]
        if given.even is not None:
            x = op("Mul", [x, const(f"{name}.inverse", 1 / given.even)], f"{name}.even")
        scale, zero = const(f"{name}.scale", given.scale), const(f"{name}.zero", given.zero, np.uint8)
        rounded = op("QuantizeLinear", [x, scale, zero], f"{name}.u8")
        made = []
        for reader, small in given.readers.items():
            out = f"l{layer}.{reader}.out"
            ins = [rounded, const(f"{out}.w", small.matrix.T, np.int8), scale, const(f"{out}.step", small.step), zero]
            if small.bias is not None:
                ins += ["", const(f"{out}.bias", small.bias)]
            made.append(op("MatMulIntegerToFloat", ins, out))
        return made

    def full(x: str, layer: int, reader: str) -> str:
        out = f"l{layer}.{reader}.out"
        matrix, bias = linear(w, layer, reader)
        if bias is None:
            return op("MatMul", [x, const(f"{out}.w", matrix.T)], out)
        return op("Add", [op("MatMul", [x, const(f"{out}.w", matrix.T)], f"{out}.mm"), const(f"{out}.bias", bias)], out)

    begin, end = const("int.0", [0], np.int64), op("Shape", ["input_ids"], "length", start=1, end=2)
    places = w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
    place = op("Slice", [const("place.w", places), begin, end, begin], "place")
    x = norm(op("Add", [words(), place], "embed.sum"), "embeddings", "embed")
    for i in range(LAYERS):
        p = f"encoder.layer.{i}"
        mixed = op("Attention", read(x, i, "qkv"), f"l{i}.context", q_num_heads=HEADS, kv_num_heads=HEADS)
        total = op("Add", [*read(mixed, i, "att"), x], f"l{i}.mid.sum")
        x = norm(total, f"{p}.attention.output", f"l{i}.mid")
        wide = op("Gelu", read(x, i, "up"), f"l{i}.gelu")
        total = op("Add", [*read(wide, i, "down"), x], f"l{i}.end.sum")
        x = norm(total, f"{p}.output", f"l{i}.end" if i < LAYERS - 1 else "last_hidden_state")
    sizes = {f"l{i}.down": 4 * DIM for i in range(LAYERS)}
    outs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", "sequence", sizes.get(n, DIM)])
        for n in (x, *taps)
    ]
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])
    graph = helper.make_graph(nodes, "all-MiniLM-L6-v2", [ids], outs, list(inits.values()))
    return finish(graph, OPSET)


def finish(graph: onnx.GraphProto, opset: int) -> onnx.ModelProto:
    """A model of the graph. Version 10 of the format is the least that may hold this opset's models."""
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


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
    return finish(helper.make_graph(nodes, "token projection", ins, outs, consts), 17)
