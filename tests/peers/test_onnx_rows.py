"""Each operation of the library as an ONNX file, run by onnxruntime and loaded again, at other lengths than
it was written with."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.peers.onnx_files import apart, runtime
from tinygrad_rnn import nn
from tinygrad_rnn.interop.onnx import export, load
from tinygrad_rnn.interop.onnx.writing.rows import ROWS

pytestmark = [pytest.mark.peer, pytest.mark.numpy_only]
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

# fmt: off
OF_ONE = [
    "abs", "arccos", "arcsin", "arcsinh", "arctan", "arctanh", "cbrt", "ceil", "cos", "cosh", "erf", "exp",
    "exp2", "expm1", "floor", "isfinite", "isinf", "isnan", "log", "log10", "log1p", "log2", "negative",
    "reciprocal", "relu", "rint", "sigmoid", "sign", "sin", "sinh", "softplus", "sqrt", "tan", "tanh",
    "trunc",
]
OF_TWO = [
    "add", "equal", "floor_divide", "fmod", "greater", "greater_equal", "hypot", "less", "less_equal",
    "logaddexp", "maximum", "minimum", "mod", "multiply", "not_equal", "power", "subtract",
]
# fmt: on

TABLE = nn.Embedding(5, 3)

CALLS = {
    **{name: (lambda x, y, name=name: getattr(tg, name)(x)) for name in OF_ONE},
    **{name: (lambda x, y, name=name: getattr(tg, name)(x, y)) for name in OF_TWO},
    **{
        name: (lambda x, y, name=name: getattr(tg, name)(x > 0.5, y > 0.4))
        for name in ("logical_and", "logical_or", "logical_xor")
    },
    "logical_not": lambda x, y: tg.logical_not(x > 0.5),
    "arccosh": lambda x, y: tg.arccosh(x + 1),
    "raise_to": lambda x, y: x**3 + (x - 0.5) ** 2,
    "astype": lambda x, y: ((x * 4).astype("int64"), x.astype("float64"), (x > 0.5).astype("float32")),
    "sum": lambda x, y: (tg.sum(x), tg.sum(x, (0, 2)), tg.sum(x, 1, keepdims=True), tg.sum(x > 0.5, 0)),
    "max": lambda x, y: (tg.max(x), tg.max(x, -1, keepdims=True)),
    "min": lambda x, y: (tg.min(x), tg.min(x, (0, 1))),
    "all": lambda x, y: (tg.all(x > 0.05, 1), tg.all(x > 0.5)),
    "any": lambda x, y: (tg.any(x > 0.8, 1), tg.any(x > 0.5)),
    "argmax": lambda x, y: (tg.argmax(x, 0), tg.argmax(x, -1)),
    "argmin": lambda x, y: tg.argmin(x, 1),
    "sort": lambda x, y: (tg.sort(x, 0), tg.sort(x)),
    "argsort": lambda x, y: tg.argsort(x, 1),
    "cumsum": lambda x, y: tg.cumsum(x, 1),
    "broadcast_to": lambda x, y: (tg.broadcast_to(x[:1], x.shape), tg.broadcast_to(y[0, 0], x.shape)),
    "reshape": lambda x, y: (
        x.reshape(-1, 3), x.reshape(x.shape[0] * 3, -1), x.reshape(x.shape[0], x.shape[1], 3, 1),
    ),
    "transpose": lambda x, y: tg.transpose(x, (2, 0, 1)),
    "flip": lambda x, y: (tg.flip(x, 0), tg.flip(x)),
    "roll": lambda x, y: (tg.roll(x, 1, -1), tg.roll(x, -5, 2)),
    "pad": lambda x, y: (tg.pad(x, ((1, 2), (0, 0), (3, 0))), tg.pad(x, 1)),
    "tril": lambda x, y: (tg.tril(x), tg.tril(x, -1)),
    "triu": lambda x, y: tg.triu(x, 1),
    "concatenate": lambda x, y: (tg.concatenate([x, y, x], 0), tg.concatenate([x, y], -1)),
    "stack": lambda x, y: (tg.stack([x, y]), tg.stack([x, y], -1)),
    "split": lambda x, y: (*tg.split(x, [1, 2], axis=-1), *tg.split(y, [2], axis=0)),
    "unstack": lambda x, y: tg.unstack(x, -1),
    "getitem": lambda x, y: (
        x[0], x[-1], x[:, -1, 1], x[..., 1:], x[::2], x[::-1], x[1:-1, None, :, 0], x[x.shape[0] - 1],
        x[:, :, [2, 0]],
    ),
    "take": lambda x, y: (tg.take(x, [2, 0, 2], -1), tg.take(x, np.array([[0, 1], [1, 0]]), 0)),
    "take_along_axis": lambda x, y: tg.take_along_axis(x, tg.argmax(x, -1, keepdims=True), -1),
    "within": lambda x, y: TABLE((x * 5).astype("int64")),
    "where": lambda x, y: (tg.where(x > y, x, y), tg.where(x > 0.5, 1.0, y), tg.where(x > 0.5, 0, 1)),
    "clip": lambda x, y: (tg.clip(x, 0.2, 0.6), tg.clip(x, None, 0.6), tg.clip(x, 0.3, None)),
    "matmul": lambda x, y: (x @ y.swapaxes(-1, -2), x @ np.ones((3, 2), np.float32)),
    "einsum": lambda x, y: (tg.einsum("tbi,tbj->bij", x, y), tg.einsum("tbi,tbi->", x, y)),
}  # fmt: skip


def numbers(rng, *shape):
    return rng.uniform(0.1, 0.9, shape).astype("float32")


@pytest.mark.parametrize("name", sorted(ROWS))
def test_an_operation(name, rng, tmp_path):
    path, call = str(tmp_path / "row.onnx"), CALLS[name]
    export(call, path, numbers(rng, 4, 5, 3), numbers(rng, 4, 5, 3))
    for t, b in ((4, 5), (7, 2)):
        x, y = numbers(rng, t, b, 3), numbers(rng, t, b, 3)
        ours = tg.tree.leaves(call(tg.tensor(x), tg.tensor(y)))
        for theirs in (runtime(path, x, y), load(path)(x, y)):
            assert apart(theirs, ours) < 2e-6


def test_whole_numbers(rng, tmp_path):
    """Division and remainder of negative numbers, sums, and counts of a number that depends on the length."""

    def model(n, m):
        return n // m, n % m, n * m - n, tg.sum(n, 0), n[0] + n.shape[0], tg.abs(n), tg.maximum(n, m), n > m

    path = str(tmp_path / "whole.onnx")
    n, m = rng.integers(-9, 9, (5, 4)), rng.choice([-3, -2, 2, 3], (5, 4))
    export(model, path, n, m)
    ours = model(tg.tensor(n), tg.tensor(m))
    assert apart(runtime(path, n, m), ours) == 0
    assert apart(load(path)(n, m), ours) == 0
