"""The gradient of every prediction by every input, as PyTorch finds it."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
torch.set_num_threads(1)

T, IN, H, CLASSES = 150, 3, 6, 4


def test_memory_of_an_lstm(rng):
    """Over three windows, with more predictions than its state has numbers."""
    theirs = torch.nn.LSTM(IN, H, num_layers=2, dtype=torch.float64)
    head = torch.nn.Linear(H, CLASSES, dtype=torch.float64)
    layer, readout = (
        tg.nn.LSTM(IN, H, num_layers=2, dtype="float64"),
        tg.nn.Linear(H, CLASSES, dtype="float64"),
    )
    layer.load_state_dict(theirs.state_dict())
    readout.load_state_dict(head.state_dict())
    x, classes = rng.normal(size=(T, IN)), rng.integers(0, CLASSES, T)

    inputs = torch.tensor(x, requires_grad=True)
    scores = torch.log_softmax(head(theirs(inputs)[0]), -1)[range(T), classes]
    expected = np.zeros((T, T))
    for t in range(T):
        (gradient,) = torch.autograd.grad(scores[t], inputs, retain_graph=True)
        expected[t] = gradient.norm(dim=-1).numpy()

    def score(outputs, steps):
        return tg.log_softmax(readout(outputs), axis=-1)[np.arange(len(steps)), classes[steps]]

    found = tg.memory(layer, x, score).array
    assert (abs(found - expected) / expected.max(axis=1, keepdims=True)).max() < 1e-9
