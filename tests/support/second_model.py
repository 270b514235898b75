"""A small embedding model of another dimension, made here: texts that share words are near each other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import onnx
from mira_ltmemory import __file__ as package
from onnx import TensorProto, helper, numpy_helper

SHIPPED = Path(package).parent / "onnx"


def write_second_model(folder: Path, dimension: int = 48, seed: int = 0) -> Path:
    """Write the model's files into a folder and return the model's: a random vector for each word of the vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    words = len((SHIPPED / "vocab.txt").read_text("utf-8").split("\n"))
    table = np.random.default_rng(seed).normal(size=(words, dimension)).astype(np.float32)
    table[:200] *= 0.01  # marks and the tokens that begin and end a text
    names = ("input_ids", "attention_mask")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        "words",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in names],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", dimension])],
        [numpy_helper.from_array(table, "table")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    (folder / "tokenizer.json").write_bytes((SHIPPED / "tokenizer.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({"_name_or_path": "second", "hidden_size": dimension}))
    return folder / "model.onnx"
