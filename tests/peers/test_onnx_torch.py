"""Models that PyTorch's own exporter writes, at several versions of ONNX's operators: loaded, they give
PyTorch's outputs at other lengths too, and its gradients of the input."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.interop.onnx import load

pytestmark = [
    pytest.mark.peer,
    pytest.mark.numpy_only,
    pytest.mark.filterwarnings("ignore"),  # of the exporter
]
pytest.importorskip("onnx")
torch = pytest.importorskip("torch")
F = torch.nn.functional
torch.manual_seed(0)
torch.set_num_threads(1)

TOLERANCE = 1e-7
"""The numbers among a file's attributes, ⅙ in a HardSigmoid say, have 32 bits."""


class Sound(torch.nn.Module):
    """Convolutions, recurrent layers of all kinds, attention, activations."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(3, 8, 5, stride=2, padding=2)
        self.norm = torch.nn.BatchNorm1d(8)
        self.lstm = torch.nn.LSTM(8, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = torch.nn.GRU(12, 5, batch_first=True)
        self.rnn = torch.nn.RNN(5, 4, nonlinearity="relu", batch_first=True)
        self.layer_norm = torch.nn.LayerNorm(4)
        self.head = torch.nn.Linear(4, 3)

    def forward(self, x):
        h = torch.relu(self.norm(self.conv(x))).transpose(1, 2)
        h = self.rnn(self.gru(self.lstm(h)[0])[0])[0]
        h = F.silu(F.gelu(self.layer_norm(h))) + F.hardswish(h) + F.elu(h)
        attended = torch.softmax(h @ h.transpose(1, 2) / 2, -1) @ h
        return self.head(attended.mean(1)), attended[:, -1], attended.flatten(1)


class Packed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(4, 5, bidirectional=True)

    def forward(self, x, lengths):
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        y, (h, _) = self.lstm(packed)
        return torch.nn.utils.rnn.pad_packed_sequence(y)[0], h


class Transformer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x):
        return self.layer(x)


def same(model, path, rng, shape, *others):
    """Outputs, and the gradient of the input, of a weighted sum of all outputs."""
    x = rng.normal(size=shape)
    theirs, ours = torch.tensor(x, requires_grad=True), tg.tensor(x, requires_grad=True)
    expected = model(theirs, *map(torch.tensor, others))
    expected = expected if isinstance(expected, tuple) else (expected,)
    found = load(path)(ours, *others)
    weights = [rng.normal(size=y.shape) for y in found]
    for y, other in zip(found, expected, strict=True):
        assert abs(y.numpy() - other.detach().numpy()).max() < TOLERANCE
    sum(tg.sum(y * tg.tensor(w)) for y, w in zip(found, weights, strict=True)).backward()
    sum((y * torch.tensor(w)).sum() for y, w in zip(expected, weights, strict=True)).backward()
    assert abs(ours.grad.numpy() - theirs.grad.numpy()).max() < TOLERANCE


def exported(model, path, inputs, axes, opset):
    names = list(axes)
    torch.onnx.export(
        model, inputs, path, dynamo=False, opset_version=opset, input_names=names, dynamic_axes=axes
    )
    return path


@pytest.mark.parametrize("opset", [9, 11, 13, 14, 17, 18])
def test_versions_of_the_operators(opset, rng, tmp_path):
    model = Sound().double().eval()
    x = torch.tensor(rng.normal(size=(2, 3, 20)))
    path = exported(model, str(tmp_path / "m.onnx"), (x,), {"x": {0: "batch", 2: "time"}}, opset)
    same(model, path, rng, (2, 3, 20))
    same(model, path, rng, (3, 3, 33))


def test_packed_sequences(rng, tmp_path):
    model = Packed().double()
    inputs = torch.tensor(rng.normal(size=(6, 3, 4))), torch.tensor([6, 4, 2])
    axes = {"x": {0: "time", 1: "batch"}, "lengths": {0: "batch"}}
    path = exported(model, str(tmp_path / "m.onnx"), inputs, axes, 17)
    same(model, path, rng, (6, 3, 4), np.array([2, 6, 3]))


def test_a_transformer(rng, tmp_path):
    model = Transformer().double().eval()
    x = torch.tensor(rng.normal(size=(2, 5, 8)))
    path = exported(model, str(tmp_path / "m.onnx"), (x,), {"x": {0: "batch", 1: "time"}}, 17)
    same(model, path, rng, (2, 5, 8))  # the exporter fixes its lengths
