"""Recurrent nodes of a file that are run one step at a time."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.interop.onnx import export, load
from tinygrad_rnn.interop.onnx.operators import recurrent

pytestmark = pytest.mark.numpy_only
pytest.importorskip("onnx")
KINDS = [nn.RNN, nn.LSTM, nn.PeepholeLSTM, nn.GRU]
B, D, H = 2, 3, 4


def pair(kind, path, rng):
    """A layer, the same from a file, and an input of one step."""
    layer = kind(D, H, bidirectional=True)
    export(layer, path)
    return layer, load(path), tg.tensor(rng.normal(size=(1, B, D)), "float32")


def close(layer, loaded, x):
    np.testing.assert_allclose(loaded(x)[0].numpy(), layer(x)[0].numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_put_in_order_once(kind, rng, tmp_path, monkeypatch):
    layer, loaded, x = pair(kind, str(tmp_path / "layer.onnx"), rng)
    ordered = []
    monkeypatch.setattr(recurrent, "_arrays", lambda *a, f=recurrent._arrays: ordered.append(a) or f(*a))
    with tg.no_grad():
        for _ in range(6):
            close(layer, loaded, x)
    assert len(ordered) == 2, "once for each direction"
    close(layer, loaded, x)
    assert len(ordered) == 4, "and on the tape"


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_change_between_two_steps(kind, rng, tmp_path):
    layer, loaded, x = pair(kind, str(tmp_path / "layer.onnx"), rng)
    mine, theirs = layer.weight_ih_l0, loaded.weights["l0.W"]
    with tg.no_grad():
        close(layer, loaded, x)
        before = loaded(x)[0].numpy()
        mine.data *= 2
        theirs.data[0] *= 2  # in place
        assert abs(loaded(x)[0].numpy() - before).max() > 1e-3
        close(layer, loaded, x)
        mine.data = mine.numpy() * 0.5
        theirs.data = np.concatenate([theirs.numpy()[:1] * 0.5, theirs.numpy()[1:]])
        np.testing.assert_allclose(loaded(x)[0].numpy(), before, rtol=1e-5, atol=1e-6)
        other = copy.deepcopy(loaded)
        other.weights["l0.W"].data *= 3
        np.testing.assert_allclose(loaded(x)[0].numpy(), before, rtol=1e-5, atol=1e-6)
        assert abs(other(x)[0].numpy() - before).max() > 1e-3


def test_residuals_reach_the_weights_after_steps_without_a_tape(rng, tmp_path):
    layer, loaded, x = pair(nn.LSTM, str(tmp_path / "layer.onnx"), rng)
    with tg.no_grad():
        close(layer, loaded, x)
    for model in (layer, loaded):
        tg.sum(tg.sin(model(x)[0])).backward()
    ours = loaded.weights["l0.W"].grad.numpy()[0].reshape(4, H, D)[[0, 2, 3, 1]]  # i, o, f, c of a file
    np.testing.assert_allclose(ours.reshape(4 * H, D), layer.weight_ih_l0.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_what_a_model_tells_of_its_nodes(rng, tmp_path):
    layer, loaded, x = pair(nn.GRU, str(tmp_path / "layer.onnx"), rng)
    assert tg.explain(loaded).endswith("(GRU): not run yet")
    loaded(x)
    told = [line for line in tg.explain(loaded).splitlines() if not line.startswith(" ")]
    of_layer = [line for line in tg.explain(layer, x).splitlines() if not line.startswith(" ")]
    assert [line[line.index("GRUCell") :] for line in told] == [
        line[line.index("GRUCell") :] for line in of_layer
    ]
    assert tg.explain(loaded, x).startswith("node ")
