"""Initial values."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.nn import init


def test_moments_of_the_initialisers():
    shape = (300, 200)
    for values, spread in [
        (init.uniform(shape, 0.3), 0.3 / np.sqrt(3)),
        (init.normal(shape, 0.2), 0.2),
        (init.glorot_uniform(shape), np.sqrt(2 / 500)),
        (init.glorot_normal(shape, gain=2.0), 2 * np.sqrt(2 / 500)),
    ]:
        assert abs(values.mean()) < 5 * spread / np.sqrt(values.size)
        assert values.std() == pytest.approx(spread, rel=0.02)
        assert values.dtype == np.float32
    assert abs(init.uniform(shape, 0.3)).max() <= 0.3


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_orthogonal(shape):
    w = init.orthogonal(shape, gain=2.0, dtype="float64")
    gram = w @ w.T if shape[0] < shape[1] else w.T @ w
    assert np.allclose(gram, 4 * np.eye(min(shape)))


def test_identity_zeros_and_forget_gate():
    assert np.array_equal(init.identity((2, 3), 0.5), 0.5 * np.eye(2, 3))
    assert not init.zeros((2, 3)).any()
    assert init.forget_gate_bias(2, 1.5).tolist() == [0, 0, 1.5, 1.5, 0, 0, 0, 0]
    with pytest.raises(tg.ShapeError, match="matrix"):
        init.orthogonal((3,))


@pytest.mark.both_backends
def test_a_seed_means_the_same_in_every_dtype():
    tg.random.seed(3)
    single = nn.LSTM(3, 4)
    tg.random.seed(3)
    double = nn.LSTM(3, 4, dtype="float64")
    for p, q in zip(single.parameters(), double.parameters(), strict=True):
        assert np.array_equal(p.numpy(), q.numpy().astype(np.float32))
        assert abs(q.numpy()).max() <= 0.5
