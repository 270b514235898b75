"""From 32 to 8 bits: how inputs are rounded, and the int8 matrices that make the most of what is left of them.

1. Channels of an input that reach far beyond the others are divided by a number of their own, and the weights that read
   them multiplied. It costs nothing where the values come from: for attention, in the matrix that makes the values.
2. One range for all tokens, measured: where an input may be cut off is where the outputs differ least.
3. GELU's outputs have a few outliers, most of all one channel at the first token of every text. A neuron that reaches
   beyond the range r is split: GELU(z) ~ min(GELU(z), r) + min(GELU(z - r), r) + ..., each cut off by its uint8.
   Some 48 more of 1,536 do it, in place of dividing all of them.
4. Least squares: what can be made good of the rounded inputs is put into the matrix, and the mean error into the bias.
5. Weights are rounded one input channel after the other, each making up for the errors of those before it (GPTQ).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from graph import PARTS, Input, Small, Weights, linear

WEIGHT_MAX = 127
SMOOTH = 0.8  # share of an outlier channel that is moved into the weights
DAMP = 0.2  # of a Hessian's mean diagonal, added to it: more trusts the calibration texts less
SAMPLE = 4_000  # tokens by which ranges are chosen
SHARES = np.geomspace(0.3, 1, 14)  # of the widest range, tried as a range
EXTRA = 48  # neurons to add to a layer, at most
ROOM = 1.1  # how far beyond what was measured a neuron may go
GELU_LEAST = 0.1704  # what GELU goes below 0 at most


@dataclass
class Split:
    """Neurons to add: of which neuron each is a copy, how much less it is given; and where uint8 cuts all off."""

    range: float = math.inf
    of: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    less: np.ndarray = field(default_factory=lambda: np.zeros(0))


def quantise(w: Weights, layer: int, xs: Mapping[str, np.ndarray]) -> dict[str, Input]:
    """The inputs of a layer, given what its linear steps read, ``[tokens, channels]`` by part."""
    split = _split(xs["down"].max(0))
    value_even = _divisors(xs["att"], [linear(w, layer, "att")[0]])
    return {f"l{layer}.{part}": _input(w, layer, part, xs, value_even, split) for part in PARTS}


def _input(
    w: Weights, layer: int, part: str, xs: Mapping[str, np.ndarray], value_even: np.ndarray, split: Split
) -> Input:
    x = xs[part].astype(np.float64)
    matrices = [linear(w, layer, reader)[0] for reader in PARTS[part]]
    even = {"att": value_even, "down": np.ones(x.shape[1])}.get(part)
    even = _divisors(x, matrices) if even is None else even
    x = x / even
    beside = x
    if part == "down":
        up, bias = linear(w, layer, "up")
        beside = np.concatenate([x, _gelu(xs["up"] @ up[split.of].T + bias[split.of] - split.less)], 1)
        scale, zero = _scale_of_gelu(split.range)
    else:
        scale, zero = _scale(x, np.concatenate(matrices) * even), 128
    rounded = _rounded_input(beside, scale, zero)
    readers = {}
    for reader, matrix in zip(PARTS[part], matrices, strict=True):
        wanted = matrix * even
        if reader == "value":
            wanted = wanted / value_even[:, None]
        known = np.concatenate([wanted, wanted[:, split.of]], 1) if part == "down" else wanted
        small = _small(x, rounded, wanted, known, linear(w, layer, reader)[1])
        readers[reader] = _with_copies(small, split) if reader == "up" else small
    return Input(even if part in ("qkv", "up") else None, scale, zero, readers)


def _divisors(x: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    """Of each channel, in 1/8 octaves, so that rounding noise does not reach them."""
    reach, weight = np.abs(x).max(0), np.abs(np.concatenate(matrices)).max(0)
    log = SMOOTH * np.log2(reach) - (1 - SMOOTH) * np.log2(weight)
    return np.asarray(2 ** (np.rint(8 * (log - log.mean())) / 8))


def _split(reach: np.ndarray) -> Split:
    """The least range with which `EXTRA` neurons are enough."""
    for limit in np.arange(2.5, reach.max() * ROOM + 0.1, 0.05):
        more = np.maximum(np.ceil(reach * ROOM / limit) - 1, 0).astype(int)
        if more.sum() <= EXTRA:
            break
    number = np.concatenate([np.arange(1, count + 1) for count in more])
    return Split(float(limit), np.repeat(np.arange(len(reach)), more), number * limit)


def _with_copies(small: Small, split: Split) -> Small:
    assert small.bias is not None
    return Small(
        np.concatenate([small.matrix, small.matrix[split.of]]),
        np.concatenate([small.step, small.step[split.of]]),
        np.concatenate([small.bias, small.bias[split.of] - split.less]),
    )


def _gelu(z: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * z * (1 + np.vectorize(math.erf, otypes=[float])(z / math.sqrt(2))))


def _scale_of_gelu(limit: float) -> tuple[float, int]:
    zero = round(255 * GELU_LEAST / (limit + GELU_LEAST))
    return limit / (255 - zero), zero


def _scale(x: np.ndarray, matrix: np.ndarray) -> float:
    """The scale, around a zero of 128, with which the outputs of some tokens differ least."""
    some = x[np.random.default_rng(0).permutation(len(x))[:SAMPLE]]
    scales = np.abs(some).max() * SHARES / 127
    errors = [float((((_rounded_input(some, scale, 128) - some) @ matrix.T) ** 2).sum()) for scale in scales]
    return float(scales[int(np.argmin(errors))])


def _rounded_input(x: np.ndarray, scale: float, zero: int) -> np.ndarray:
    return np.asarray((np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale)


def _small(x: np.ndarray, rounded: np.ndarray, wanted: np.ndarray, known: np.ndarray, bias: np.ndarray | None) -> Small:
    """The int8 matrix for ``rounded`` that comes nearest to ``wanted`` for ``x``, starting from ``known``."""
    mean_x, mean = x.mean(0), rounded.mean(0)
    centred = rounded - mean
    hessian = centred.T @ centred / len(x)
    missing = centred.T @ ((x - mean_x) @ wanted.T - centred @ known.T) / len(x)
    best = known + np.linalg.solve(hessian + DAMP * np.diag(hessian).mean() * np.eye(len(hessian)), missing).T
    step = (np.abs(best).max(1) / WEIGHT_MAX).astype(np.float32)
    matrix = _rounded_weights(best, step, rounded.T @ rounded / len(x))
    if bias is not None:
        bias = bias + wanted @ mean_x - (matrix * step[:, None]) @ mean
    return Small(matrix, step, bias)


def _rounded_weights(matrix: np.ndarray, step: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    """Round an ``[out, in]`` matrix to multiples of `step`, one for each output, by GPTQ."""
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
