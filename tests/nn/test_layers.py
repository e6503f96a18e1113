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
@pytest.mark.parametrize("padding", [0, 3, -1, -5])
def test_a_row_of_padding_is_zero_and_does_not_learn(rng, padding):
    layer = nn.Embedding(5, 3, "float64", padding_idx=padding)
    row = padding % 5
    assert layer.padding_idx == row
    assert [not r.any() for r in layer.weight.numpy()] == [i == row for i in range(5)]
    x, g = rng.integers(0, 5, (4, 6)), rng.normal(size=(4, 6, 3))
    x[0, 0] = row
    expected = np.zeros((5, 3))
    np.add.at(expected, x[x != row], g[x != row])
    for given in (tg.tensor(x), x, x.tolist()):
        layer.zero_grad()
        y = layer(given)
        assert np.array_equal(y.numpy(), layer.weight.numpy()[x])
        tg.sum(y * tg.tensor(g)).backward()
        np.testing.assert_allclose(layer.weight.grad.numpy(), expected, rtol=1e-14)
    layer.weight.data = np.ones((5, 3))  # as a state dict may
    assert layer(tg.tensor(x)).numpy().all()
    optimizer = tg.optim.SGD(layer.parameters(), lr=0.1)
    optimizer.step()
    assert (layer.weight.numpy()[row] == 1).all()


def test_which_rows_can_be_padding():
    for padding in (5, -6, 10**400):
        with pytest.raises(tg.IndexRangeError, match=r"padding_idx .* lies outside of 5 rows"):
            nn.Embedding(5, 3, padding_idx=padding)
    with pytest.raises(tg.ArgumentError, match="padding_idx must be a whole number"):
        nn.Embedding(5, 3, padding_idx=1.0)


@pytest.mark.parametrize("compiled", [True, False])
def test_padding_inside_a_scan(rng, compiled):
    """As all tokens looked up before, whose residuals are summed by hand."""
    layer, cell = nn.Embedding(5, 3, "float64", padding_idx=0), nn.GRUCell(3, 4, dtype="float64")
    tokens = rng.integers(0, 5, (7, 2))
    tokens[0] = 0

    def step(token, h):
        return cell(layer(token), h)

    ys, _ = tg.scan(step, tg.tensor(tokens), tg.zeros((2, 4), "float64"), compiled=compiled)
    tg.sum(ys**2).backward()
    vectors = tg.tensor(layer.weight.numpy()[tokens], requires_grad=True)
    ys, _ = tg.scan(cell, vectors, tg.zeros((2, 4), "float64"), compiled=False)
    tg.sum(ys**2).backward()
    expected = np.zeros((5, 3))
    np.add.at(expected, tokens[tokens != 0], vectors.grad.numpy()[tokens != 0])
    assert not layer.weight.grad.numpy()[0].any()
    np.testing.assert_allclose(layer.weight.grad.numpy(), expected, rtol=1e-12, atol=1e-14)


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
