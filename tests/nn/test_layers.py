"""The layers without memory."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn


@pytest.mark.both_backends
def test_linear(rng):
    layer = nn.Linear(3, 2, dtype="float64")
    x = rng.normal(size=(4, 5, 3))
    w, b = layer.weight.numpy(), layer.bias.numpy()
    assert np.allclose(layer(tg.tensor(x)).numpy(), x @ w.T + b)
    assert np.allclose(layer(tg.tensor(x[0, 0])).numpy(), w @ x[0, 0] + b)
    assert layer(tg.zeros((0, 3), "float64")).shape == (0, 2)
    bare = nn.Linear(3, 2, bias=False)
    assert list(bare.state_dict()) == ["weight"]
    with pytest.raises(tg.ShapeError, match=r"Linear.*\(4, 2\).*\(…, 3\)"):
        layer(tg.zeros((4, 2)))
    with pytest.raises(tg.DtypeError, match=r"float32.*float64.*astype"):
        layer(tg.zeros((4, 3)))
    with pytest.raises(tg.DtypeError, match="Embedding"):
        layer(tg.zeros((4, 3), "int64"))
    tg.check_gradients(lambda v: tg.sum(layer(v) ** 2), tg.tensor(x))


@pytest.mark.both_backends
def test_embedding():
    layer = nn.Embedding(5, 3)
    y = layer(tg.tensor([[1, 4], [1, 0]]))
    assert np.array_equal(y.numpy(), layer.weight.numpy()[[[1, 4], [1, 0]]])
    tg.sum(y).backward()
    assert layer.weight.grad.numpy()[:, 0].tolist() == [1, 2, 0, 0, 1]
    with pytest.raises(tg.DtypeError):
        layer(tg.tensor([1.0]))


@pytest.mark.both_backends
@pytest.mark.parametrize("row", [5, -1, -5, 10**6])
def test_embedding_names_a_row_that_is_not_there(row, backend):
    layer = nn.Embedding(5, 3)
    for rows in ([0, row], np.array([0, row])):
        with pytest.raises(tg.IndexRangeError, match=rf"{row} at \[1\] lies outside of 0 … 4"):
            layer(rows)
    if backend == "numpy":
        with pytest.raises(tg.IndexRangeError):
            layer(tg.tensor([0, row]))
    else:  # a device would have to be waited for: what comes out is no number
        assert np.isnan(layer(tg.tensor([0, row])).numpy()).all(axis=1).tolist() == [False, True]


def test_layer_norm_in_float16(rng):
    """Squares leave the range of float16 and a small eps is 0 in it: both are taken in float32."""
    x = (rng.normal(size=(3, 8)) * 500).astype(np.float16)
    x[1] = 7
    y = nn.LayerNorm(8, eps=1e-12, dtype="float16")(tg.tensor(x))
    wide = x.astype(float)
    expected = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-12)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.numpy(), expected, atol=2e-3)


@pytest.mark.both_backends
@pytest.mark.parametrize("shape", [4, (3, 4)])
def test_layer_norm(rng, shape):
    layer = nn.LayerNorm(shape, dtype="float64")
    layer.weight.data = rng.normal(size=layer.weight.shape)
    layer.bias.data = rng.normal(size=layer.bias.shape)
    x = rng.normal(size=(2, 3, 4))
    axes = (2,) if shape == 4 else (1, 2)
    centred = x - x.mean(axes, keepdims=True)
    expected = (
        centred / np.sqrt(x.var(axes, keepdims=True) + 1e-5) * layer.weight.numpy() + layer.bias.numpy()
    )
    assert np.allclose(layer(tg.tensor(x)).numpy(), expected)
    with pytest.raises(tg.ShapeError, match="LayerNorm"):
        layer(tg.zeros((2, 3, 5), "float64"))


@pytest.mark.both_backends
def test_dropout():
    x = tg.tensor(np.ones((100, 100)), requires_grad=True)
    layer = nn.Dropout(0.25)
    y = layer(x)
    assert set(np.unique(y.numpy())) == {0, 1 / 0.75}
    assert y.numpy().mean() == pytest.approx(1, abs=0.03)
    tg.sum(y).backward()
    assert np.array_equal(x.grad.numpy(), y.numpy())
    assert layer.eval()(x) is x
    assert not nn.Dropout(1.0)(x).numpy().any()
    tg.random.seed(1)
    first = nn.Dropout(0.5)(x).numpy()
    tg.random.seed(1)
    assert np.array_equal(nn.Dropout(0.5)(x).numpy(), first)
    with pytest.raises(tg.ArgumentError, match="probability"):
        nn.Dropout(1.5)
