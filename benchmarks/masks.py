"""What lengths, masks and noise cost: forward and backward of Σ y², float32, beside the layer without."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import tinygrad_rnn as tg

from . import timing

SIZES = [(32, 16, 32, 32), (100, 32, 64, 128), (100, 64, 256, 512)]
LIMIT = 1.1
"""What lengths and masks may cost."""


def contestants(kind: str, size: tuple[int, int, int, int]) -> dict[str, Callable[[], object]]:
    """The plain layer first."""
    (steps, batch, features, hidden), rng = size, np.random.default_rng(0)
    x = tg.tensor(rng.normal(size=(steps, batch, features)).astype(np.float32))
    lengths, mask = rng.integers(steps // 2, steps + 1, batch), rng.random((steps, batch)) < 0.8
    make = getattr(tg.nn, kind)
    plain, noisy = make(features, hidden), make(features, hidden, zoneout=0.1, recurrent_dropout=0.1)
    last = make(features, hidden, outputs="last")

    def run(layer: tg.nn.Module, **given: object) -> Callable[[], object]:
        def once() -> object:
            y, _ = layer(x, **given)
            layer.zero_grad()
            return tg.sum(y * y).backward()

        return once

    return {
        "plain": run(plain),
        "lengths": run(plain, lengths=lengths),
        "mask": run(plain, mask=mask),
        "noise": run(noisy),
        "last": run(last),
    }


def main() -> None:
    print(f"T, B, I, H; ms of the plain layer, and how many times as long; limit {LIMIT}; {timing.machine()}")
    print("| layer | T, B, I, H | plain, ms | lengths | mask | noise | last output |")
    print("|---|---|---|---|---|---|---|")
    for kind in ("LSTM", "GRU", "RNN"):
        for size in SIZES:
            found = timing.medians(contestants(kind, size), 2.0 if size[-1] == 512 else 1.0)
            plain = found.pop("plain")
            cells = [f"{time / plain:.2f}" for time in found.values()]
            print("|", " | ".join([kind, ", ".join(map(str, size)), f"{plain:.2f}", *cells]), "|", flush=True)
