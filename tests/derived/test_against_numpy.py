"""Every public function against NumPy: values, shapes and dtypes; and hard places by value."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.derived.calls import CALLS
from tinygrad_rnn import tree


def same(ours, theirs, rtol=1e-12, atol=1e-13):
    """Equal nesting, shapes, dtypes and values."""
    ours, theirs = list(tree.leaves(ours)), list(tree.leaves(theirs))
    for a, b in zip(ours, theirs, strict=True):
        b = np.asarray(b)
        assert isinstance(a, tg.Tensor)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a.numpy(), b, rtol=rtol, atol=atol)


def tensors(xs):
    return [tg.tensor(x) for x in xs]


@pytest.mark.measured
@pytest.mark.both_backends
@pytest.mark.parametrize("label", CALLS)
def test_float64(label):
    xs, f = CALLS[label]
    same(f(tg, *tensors(xs)), f(np, *xs))


@pytest.mark.parametrize("label", CALLS)
def test_float32_stays_float32(label):
    xs, f = CALLS[label]
    xs = [x.astype(np.float32) for x in xs]
    expected = f(np, *xs)
    if label == "interp":  # NumPy's only function that widens
        expected = expected.astype(np.float32)
    same(f(tg, *tensors(xs)), expected, rtol=3e-5, atol=3e-6)


@pytest.mark.parametrize("label", CALLS)
def test_operands_that_are_views(label):
    """Reversed, transposed and strided memory gives the same values and the same residuals."""
    xs, f = CALLS[label]
    views = [np.ascontiguousarray(x.T).T[..., ::-1][..., ::-1] if x.ndim else x for x in xs]
    plain, viewed = tensors(xs), []
    for view in views:
        t = tg.tensor(view)
        viewed.append(tg.flip(tg.flip(tg.transpose(tg.copy(tg.transpose(t))))))
    same(f(tg, *viewed), f(np, *xs))

    def loss(*values):
        return sum((part * part).sum() for part in tree.leaves(f(tg, *values)))

    for a, b in zip(
        tg.grad(loss, range(len(xs)))(*viewed), tg.grad(loss, range(len(xs)))(*plain), strict=True
    ):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-12)
