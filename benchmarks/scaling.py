"""How time grows: with the number of steps, with the length of a tape, with layer normalisation, with
training over inference, and over the products alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.backends.native import products

from . import timing

STEPS = (1_000, 10_000, 100_000)
OPERATIONS = (50_000, 100_000)
LINEAR = 1.5
"""What a step may cost more where nothing fits a cache any longer."""
SIZES = [(100, 32, 64, 128), (100, 64, 256, 512)]
Run = Callable[[], Any]


class LayerNormLSTM(tg.nn.Module):
    """An LSTM whose four gates and cell state are normalised (Ba, Kiros & Hinton 2016)."""

    def __init__(self, inputs: int, hidden: int) -> None:
        self.state_size = (hidden, hidden)
        random = np.random.default_rng(0)
        self.W = tg.nn.Parameter(
            (random.standard_normal((inputs, 4 * hidden)) / np.sqrt(hidden)).astype(np.float32)
        )
        self.U = tg.nn.Parameter(
            (random.standard_normal((hidden, 4 * hidden)) / np.sqrt(hidden)).astype(np.float32)
        )
        self.gates, self.cell = tg.nn.LayerNorm(4 * hidden), tg.nn.LayerNorm(hidden)

    def __call__(self, x: Any, state: Any) -> Any:
        h, c = state
        i, f, g, o = tg.split(self.gates(x @ self.W + h @ self.U), 4, axis=-1)
        c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
        h = tg.sigmoid(o) * tg.tanh(self.cell(c))
        return h, (h, c)


def training(layer: Any, size: tuple[int, ...]) -> Run:
    """Forward and backward, to the input too."""
    x = tg.tensor(_data(size), requires_grad=True)

    def run() -> Any:
        layer.zero_grad()
        x.grad = None
        y, _ = layer(x)
        tg.sum(y * y).backward()

    return run


def inference(layer: Any, size: tuple[int, ...]) -> Run:
    x = tg.tensor(_data(size))

    @tg.no_grad()
    def run() -> Any:
        return layer(x)

    return run


def only_products(size: tuple[int, ...]) -> Run:
    """Nothing but the products of an LSTM, forward and backward: those over all steps in the package's own
    machine code."""
    steps, batch, inputs, hidden = size
    random = np.random.default_rng(0)
    x, h, z, w, u = (
        random.standard_normal(shape).astype(np.float32)
        for shape in (
            (steps * batch, inputs),
            (steps * batch, hidden),
            (steps * batch, 4 * hidden),
            (inputs, 4 * hidden),
            (hidden, 4 * hidden),
        )
    )

    def run() -> None:
        with products.GatheredProducts() as gathered:
            gathered.matmul(x, w)
        each_step(h, u, steps)
        each_step(z, np.ascontiguousarray(u.T), steps)
        for left, right in ((z, w.T), (x.T, z), (h.T, z)):
            with products.GatheredProducts() as gathered:
                gathered.matmul(left, right)

    return run


def each_step(a: np.ndarray, b: np.ndarray, steps: int) -> None:
    """The rows of every step times b, one step after the other, by NumPy's BLAS."""
    out = np.empty((len(a) // steps, b.shape[1]), np.float32)
    for rows in a.reshape(steps, -1, a.shape[1]):
        np.matmul(rows, b, out)


def _data(size: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(size[:3]).astype(np.float32)


def verdict(name: str, ratio: float, limit: float) -> None:
    print(f"  {name:<44}{ratio:5.2f}  ({limit}{'' if ratio <= limit else ', missed'})")


def steps_table(seconds: float) -> None:
    print("LSTM, B=1 I=H=16, forward + backward")
    layer = tg.nn.LSTM(16, 16)
    found = timing.medians({str(steps): training(layer, (steps, 1, 16)) for steps in STEPS}, seconds)
    each = [1000 * found[str(steps)] / steps for steps in STEPS]
    for steps, microseconds in zip(STEPS, each, strict=True):
        print(f"  T = {steps:>7,}{microseconds:9.3f} µs a step")
    verdict("a step at 100,000 / the quickest of these", each[-1] / min(each), LINEAR)


def tape_table(seconds: float) -> None:
    def chain(length: int) -> Run:
        def run() -> None:
            y = tg.tensor(0.5, requires_grad=True)
            for _ in range(length // 2):
                y = y * 0.999 + 0.001
            y.backward()

        return run

    found = timing.medians({str(length): chain(length) for length in OPERATIONS}, seconds)
    half, whole = (found[str(length)] / length for length in OPERATIONS)
    verdict("an operation on a tape of 100,000 / of 50,000", whole / half, LINEAR)


def size_table(size: tuple[int, ...], seconds: float) -> None:
    lstm, normalised = tg.nn.LSTM(*size[2:]), tg.nn.Recurrent(LayerNormLSTM(*size[2:]))
    runs = {
        "training": training(lstm, size),
        "inference": inference(lstm, size),
        "layer norm": training(normalised, size),
        "products": only_products(size),
    }
    found = timing.medians(runs, seconds)
    print(
        f"T, B, I, H = {size}: "
        + ", ".join(f"{name} {milliseconds:.2f} ms" for name, milliseconds in found.items())
    )
    verdict("layer-norm LSTM / LSTM", found["layer norm"] / found["training"], 2.0)
    verdict("inference / training", found["inference"] / found["training"], 0.5)
    print(f"  {'the products alone / training':<44}{found['products'] / found['training']:5.2f}")


def main(seconds: float = 1.0) -> None:
    print(f"how time grows, float32\n{timing.machine()}")
    steps_table(seconds)
    tape_table(seconds)
    for size in SIZES:
        size_table(size, seconds)


if __name__ == "__main__":
    main()
