"""Loaded models on NumPy's arrays and on a device: the same numbers as onnxruntime's, and gradients."""

from __future__ import annotations

import pytest

import tinygrad_rnn as tg
from tests.peers.onnx_files import runtime
from tinygrad_rnn import nn
from tinygrad_rnn.interop.onnx import export, load

pytestmark = [pytest.mark.peer, pytest.mark.both_backends]
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def cell(x, h):
    h = tg.tanh(x + 0.5 * h)
    return h * h, h


class Model(nn.Module):
    def __init__(self):
        self.embedding = nn.Embedding(9, 4)
        self.recurrent = nn.PeepholeLSTM(4, 6, bidirectional=True)
        self.gru = nn.GRU(12, 5, reset="before")
        self.scan = nn.Recurrent(cell)

    def forward(self, tokens):
        y, _ = self.gru(self.recurrent(self.embedding(tokens))[0])
        y, h = self.scan(y, tg.zeros((tokens.shape[1], 5)))
        return tg.softmax(y, -1), tg.mean(h, 0)


def test_a_model_on_a_device(rng, tmp_path, backend):
    path, tokens = str(tmp_path / "model.onnx"), rng.integers(0, 9, (6, 3))
    model = Model()
    export(model, path, tg.tensor(tokens))
    loaded, expected = load(path), runtime(path, tokens)
    results = loaded(tg.tensor(tokens))
    for y, other, ours in zip(results, expected, model(tg.tensor(tokens)), strict=True):
        assert y.backend == backend
        assert abs(y.numpy() - other).max() < 1e-5
        assert abs(y.numpy() - ours.numpy()).max() < 1e-5
    sum(tg.sum(y * y) for y in results).backward()
    assert all(p.grad is not None and p.grad.backend == backend for p in loaded.parameters())
