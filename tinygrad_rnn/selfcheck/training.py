"""Twenty steps of training a small model, loss by loss beside the loop over time on NumPy's arrays in
float64."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy

import tinygrad_rnn as tg

from .layers import seeded
from .report import Facts, Item, compared

STEPS = 20
TOLERANCE = {"float32": 2e-5, "float64": 1e-11}
OPTIMISERS: dict[str, dict[str, Any]] = {
    "Adam": {"lr": 0.01},
    "AdamW": {"lr": 0.01},
    "RMSProp": {"lr": 0.01},
    "SGD": {"lr": 0.3, "momentum": 0.9},
}


def items(backend: str, quick: bool) -> Iterator[Item]:
    for dtype in ("float32",) if quick else ("float32", "float64"):
        for kind in ("LSTM", "GRU", "RNN", "PeepholeLSTM"):
            yield f"{kind}, Adam, {dtype}", partial(_agrees, kind, "Adam", backend, dtype)
        for optimiser in list(OPTIMISERS)[1:]:
            yield f"LSTM, {optimiser}, {dtype}", partial(_agrees, "LSTM", optimiser, backend, dtype)


class _Model(tg.nn.Module):
    """Scores of what comes next in a sequence of numbers."""

    def __init__(self, kind: str, dtype: str, compiled: bool) -> None:
        super().__init__()
        self.embedding = tg.nn.Embedding(11, 8, dtype=dtype)
        self.recurrent = getattr(tg.nn, kind)(8, 16, dtype=dtype, compiled=compiled)
        self.readout = tg.nn.Linear(16, 11, dtype=dtype)

    def __call__(self, numbers: Any) -> Any:
        outputs, _ = self.recurrent(self.embedding(numbers))
        return self.readout(outputs)


def _agrees(kind: str, optimiser: str, backend: str, dtype: str) -> Facts:
    found = losses(kind, optimiser, backend, dtype, True)
    expected = losses(kind, optimiser, "numpy", "float64", False)
    return {
        **compared([numpy.array(found)], [numpy.array(expected)], TOLERANCE[dtype]),
        "first": found[0],
        "last": found[-1],
    }


def losses(kind: str, optimiser: str, backend: str, dtype: str, compiled: bool) -> list[float]:
    """The loss of each step."""
    numbers = numpy.random.default_rng(0).integers(0, 11, (13, 8))
    with seeded(), tg.use_backend(backend):
        model = _Model(kind, dtype, compiled)
        steps = getattr(tg.optim, optimiser)(model.parameters(), **OPTIMISERS[optimiser])
        history = []
        for _ in range(STEPS):
            steps.zero_grad()
            loss = tg.cross_entropy(model(tg.tensor(numbers[:-1])), tg.tensor(numbers[1:]))
            loss.backward()
            tg.optim.clip_grad_norm(steps.parameters, 1.0)
            steps.step()
            history.append(loss.item())
    return history
