"""Clipping by value and by norm."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.optim.parameters import SHAPES, parameters, set_grads
from tinygrad_rnn import optim


@pytest.mark.both_backends
def test_clip_grad_norm_returns_the_norm_and_scales_all(rng):
    ps, grads = parameters(rng), [rng.normal(size=shape) for shape in SHAPES]
    set_grads(ps, grads)
    norm = math.sqrt(sum((g**2).sum() for g in map(np.asarray, grads)))
    assert optim.clip_grad_norm(ps, 100.0) == pytest.approx(norm)
    assert all(np.array_equal(p.grad.numpy(), g) for p, g in zip(ps, grads, strict=True))
    assert optim.clip_grad_norm(ps, 0.5) == pytest.approx(norm)
    for p, g in zip(ps, grads, strict=True):
        assert np.allclose(p.grad.numpy(), 0.5 / (norm + 1e-6) * g, rtol=1e-12)
    assert optim.clip_grad_norm([tg.nn.Parameter(1.0)], 1.0) == 0


@pytest.mark.parametrize("bad", [math.inf, math.nan, 1e200])
def test_a_norm_that_is_not_finite_is_returned_and_changes_nothing(bad):
    p = tg.nn.Parameter([1.0, 2.0], "float64")
    set_grads([p], [np.array([bad, 1.0])])
    assert not math.isfinite(optim.clip_grad_norm([p], 1.0))
    assert p.grad.numpy()[1] == 1


def test_clipping_does_not_scale_a_shared_residual_twice():
    a, b = tg.nn.Parameter([3.0]), tg.nn.Parameter([4.0])
    tg.sum(a + b).backward()
    optim.clip_grad_norm([a, b], 1.0)
    assert a.grad.item() == b.grad.item() == pytest.approx(1 / math.sqrt(2))


def test_clipping_of_a_single_tensor_and_of_what_is_named_twice():
    w = tg.nn.Parameter([0.0, 0.0], "float64")
    for given in (w, [w], [w, w], (p for p in [w])):
        w.grad = tg.tensor(np.array([3.0, 4.0]))
        assert optim.clip_grad_norm(given, 1.0) == 5.0
        np.testing.assert_allclose(w.grad.numpy(), [0.6, 0.8], rtol=1e-6)
    w.grad = tg.tensor(np.array([3.0, 4.0]))
    assert optim.clip_grad_norm(w, math.inf) == 5.0
    assert w.grad.numpy().tolist() == [3, 4]
    optim.clip_grad_value(w, 3.5)
    assert w.grad.numpy().tolist() == [3, 3.5]


@pytest.mark.both_backends
def test_clip_grad_value():
    p = tg.nn.Parameter([1.0, 2.0, 3.0])
    set_grads([p], [np.array([-5.0, 0.5, 5.0])])
    optim.clip_grad_value([p, tg.nn.Parameter(1.0)], 1.0)
    assert p.grad.numpy().tolist() == [-1, 0.5, 1]


def test_float16_is_clipped_by_a_norm_that_it_cannot_hold():
    p = tg.nn.Parameter([0.0, 0.0], "float16")
    p.grad = tg.tensor([30000.0, 40000.0], "float16")
    assert optim.clip_grad_norm([p], 1.0) == 50000.0
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.8], rtol=1e-3)
    many = tg.nn.Parameter(np.zeros(10_000), "float16")
    many.grad = tg.tensor(np.full(10_000, 60_000.0), "float16")
    assert optim.clip_grad_norm([many], 0.1) == pytest.approx(6e6, rel=1e-3)
    np.testing.assert_allclose(many.grad.numpy(), 0.001, rtol=1e-3)  # the scale, 1.7e-8, is 0 in float16
    assert many.grad.dtype == np.float16
