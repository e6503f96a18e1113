"""Gradients against differences: what passes, what is suspected, what proves nothing."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg

X = np.array([0.3, -1.2, 0.8])


def test_check_gradients_passes_what_is_right():
    tg.check_gradients(lambda x, y: tg.tanh(x @ y), X.reshape(1, 3), np.ones((3, 2)))
    tg.check_gradients(lambda p: (p["w"] * p["b"][0], tg.exp(p["w"])), {"w": X, "b": [X + 1]})
    tg.check_gradients(lambda x, i: tg.take(x, i), X, np.array([0, 0, 2]))


def test_check_gradients_says_where_a_kink_is_suspected():
    with pytest.raises(tg.GradientCheckError, match="each rule that it uses holds by itself"):
        tg.check_gradients(lambda x: x.detach() * x, X)


def test_check_gradients_refuses_what_proves_nothing():
    with pytest.raises(tg.DtypeError, match="float64"):
        tg.check_gradients(tg.sin, X.astype(np.float32))
    with pytest.raises(tg.ArgumentError, match="order must be 1 or 2, not 3"):
        tg.check_gradients(tg.sin, X, order=3)
