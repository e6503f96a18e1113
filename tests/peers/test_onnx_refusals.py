"""What cannot be written as an ONNX file is refused by name, before anything is written; and the model is as
it was."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.interop.onnx import export

pytestmark = [pytest.mark.peer, pytest.mark.numpy_only]
pytest.importorskip("onnx")

T, B, D, H = 6, 3, 4, 5


def floats(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def branching(x):
    return x * 2 if x.shape[0] > 20 else x


def looking(x):
    return x * 2 if float(tg.sum(x)) > 0 else x


def drawing(x):
    return x + tg.tensor(np.random.default_rng().normal(size=x.shape).astype("f"))


def sized(x):
    return x * float(x.shape[0] ** 0.5)


def turning(x):
    return tg.arctan2(x, x + 1)


def refused_cell(x, h):
    return tg.arctan2(h, x), h


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (branching, "something else when its input is longer"),
        (looking, "cannot look at"),
        (drawing, "a tensor that is another one in each call"),
        (sized, "a number that depends on the lengths"),
        (turning, "'arctan2'"),
        (lambda x: 3.0, "no tensor"),
        (lambda x: tg.scan(refused_cell, x, tg.zeros((x.shape[1], D))), "'arctan2'"),
        (lambda x: nn.LSTM(D, H)(x, mask=np.ones(x.shape[:2], bool)), "mask"),
        (nn.LSTM(D, H, stateful=True), "stateful"),
    ],
    ids=["branch", "look", "draw", "size", "turn", "number", "cell", "mask", "stateful"],
)
def test_what_cannot_be_written_is_refused_by_name(model, says, rng, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")
    with pytest.raises(tg.CheckpointError, match=re.escape(says)):
        export(model, path, floats(rng, T, B, D))
    assert path.read_bytes() == b"before"


def test_masked_outputs_that_repeat(rng, tmp_path):
    layer = nn.LSTM(D, H, masked_output="previous")
    with pytest.raises(tg.CheckpointError, match="masked_output"):
        export(layer, tmp_path / "x.onnx", floats(rng, T, B, D), None, np.array([6, 2, 3]))


@pytest.mark.parametrize("options", [{}, {"batch_first": True}, {"outputs": "last", "num_layers": 2}])
def test_a_mask_as_an_input(options, rng, tmp_path):
    layer = nn.GRU(D, H, **options)
    shape = (B, T) if layer.batch_first else (T, B)
    with pytest.raises(tg.CheckpointError, match="a mask has no operator"):
        export(layer, tmp_path / "x.onnx", floats(rng, *shape, D), None, None, np.ones(shape, bool))


def test_an_example_is_asked_for(tmp_path):
    with pytest.raises(tg.ArgumentError, match="give an example"):
        export(branching, tmp_path / "x.onnx")
    with pytest.raises(tg.ArgumentError, match="no input 'y'"):
        export(nn.LSTM(D, H), tmp_path / "x.onnx", axes={"y": {0: "time"}})
    with pytest.raises(tg.ArgumentError, match="3 different names"):
        export(nn.LSTM(D, H), tmp_path / "x.onnx", outputs=["y"])
    assert list(tmp_path.iterdir()) == []


def test_a_layer_is_as_it_was(rng, tmp_path):
    layer = nn.LSTM(D, H, num_layers=2, dropout=0.5)
    before, x = layer.state_dict(), floats(rng, T, B, D)
    tg.random.seed(3)
    expected = layer(x)[0].numpy()
    tg.random.seed(3)
    export(layer, tmp_path / "x.onnx")
    assert np.array_equal(layer(x)[0].numpy(), expected)
    for name, value in layer.state_dict().items():
        assert np.array_equal(value.numpy(), before[name].numpy())
