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


def cropped(n):
    layer = nn.GRU(D, H)
    return lambda x: layer(x[: x.shape[0] // n * n])[0]


def filled(n):
    layer = nn.GRU(D, H)
    return lambda x: layer(tg.pad(x, ((0, -x.shape[0] % n), (0, 0), (0, 0))))[0]


def filled_samples(n):
    return lambda x: tg.pad(x, ((0, 0), (0, -x.shape[1] % n), (0, 0)))


def scaled_by(number):
    """A number that depends on the shape (T, B, D)."""
    return lambda x: x * float(number(*x.shape))


def beyond(axis, n):
    return lambda x: x * 2 if x.shape[axis] > n else x


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


ROUNDED = {
    "steps cropped to an even number": cropped(2),
    "steps cropped to threes": cropped(3),
    "steps cropped to sixteens": cropped(16),
    "steps filled up to an even number": filled(2),
    "steps filled up to threes": filled(3),
    "steps filled up to fours": filled(4),
    "steps filled up to 32": filled(32),
    "samples filled up to an even number": filled_samples(2),
    "samples filled up to fours": filled_samples(4),
    "samples filled up to 16": filled_samples(16),
    "half of the steps": scaled_by(lambda t, b, d: t // 2),
    "the remainder by 2": scaled_by(lambda t, b, d: t % 2),
    "the remainder by 3": scaled_by(lambda t, b, d: t % 3),
    "the remainder of samples": scaled_by(lambda t, b, d: b % 2),
    "steps up to 10": scaled_by(lambda t, b, d: min(t, 10)),
    "steps up to 50": scaled_by(lambda t, b, d: min(t, 50)),
    "samples from 4 on": scaled_by(lambda t, b, d: max(b, 4)),
    "the last five, or less": lambda x: tg.mean(x[-5:], axis=0),
    "a branch at odd numbers": lambda x: x * 2 if x.shape[0] % 2 else x,
    **{f"a branch at {n} steps": beyond(0, n) for n in (3, 10, 20, 50)},
    **{f"a branch at {n} samples": beyond(1, n) for n in (3, 10, 30)},
}


@pytest.mark.parametrize("name", ROUNDED)
def test_what_depends_on_lengths_by_more_than_a_sum(name, rng, tmp_path):
    """No number of one length goes into the file; and with the lengths fixed all of it can be written."""
    x, path = floats(rng, T, B, D), tmp_path / "model.onnx"
    with pytest.raises(tg.CheckpointError, match=r"axes=\{\}"):
        export(ROUNDED[name], path, x)
    assert not path.exists()
    export(ROUNDED[name], path, floats(rng, 16, B, D), axes={})


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
