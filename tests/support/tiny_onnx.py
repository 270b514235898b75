"""A small ONNX model written byte by byte: nothing has to be installed to make one.

It counts how often one token stands in a text: a cross-encoder that knows one word.
"""

from __future__ import annotations

from pathlib import Path

_INT64, _FLOAT, _BOOL = 7, 1, 9


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _value(name: str, kind: int, *dimensions: str | int) -> bytes:
    shape = b"".join(_field(1, _field(2, each) if isinstance(each, str) else _field(1, each)) for each in dimensions)
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, shape)))


def _node(kind: str, inputs: list[str], output: str, *attributes: tuple[str, int]) -> bytes:
    told = b"".join(_field(5, _field(1, name) + _field(3, value) + _field(20, 2)) for name, value in attributes)
    return b"".join(_field(1, each) for each in inputs) + _field(2, output) + _field(4, kind) + told


def _constant(name: str, values: list[int]) -> bytes:
    raw = b"".join(value.to_bytes(8, "little", signed=True) for value in values)
    return _field(1, len(values)) + _field(2, _INT64) + _field(8, name) + _field(9, raw)


def write_word_counter(path: Path, token: int, columns: int = 1) -> Path:
    """Write a model whose ``columns`` outputs are how often ``token`` stands in a text."""
    nodes = [
        _node("Equal", ["input_ids", "token"], "is"),
        _node("Cast", ["is"], "number", ("to", _FLOAT)),
        _node("ReduceSum", ["number", "axes"], "count", ("keepdims", 1)),
        _node("Concat", ["count"] * columns, "logits", ("axis", 1)),
    ]
    graph = (
        b"".join(_field(1, node) for node in nodes)
        + _field(2, "counter")
        + _field(5, _constant("token", [token]))
        + _field(5, _constant("axes", [1]))
        + _field(11, _value("input_ids", _INT64, "batch", "sequence"))
        + _field(12, _value("logits", _FLOAT, "batch", columns))
    )
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13)))
    return path
