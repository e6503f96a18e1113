"""Making tensors, and what their methods are."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg


@pytest.mark.both_backends
def test_makers():
    for ours, theirs in [
        (tg.zeros((2, 3)), np.zeros((2, 3), np.float32)),
        (tg.ones(3, dtype="float64"), np.ones(3)),
        (tg.full((2,), 7), np.full((2,), 7)),
        (tg.eye(2, 3, 1), np.eye(2, 3, 1, dtype=np.float32)),
        (tg.identity(2), np.eye(2, dtype=np.float32)),
        (tg.arange(2, 9, 3), np.arange(2, 9, 3)),
        (tg.arange(0.0, 1.0, 0.25), np.arange(0.0, 1.0, 0.25, dtype=np.float32)),
        (tg.linspace(0, 1, 5), np.linspace(0, 1, 5, dtype=np.float32)),
        (tg.one_hot([0, 2], 3), np.eye(3, dtype=np.float32)[[0, 2]]),
    ]:
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours.numpy(), theirs)


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [("sum", (1,), {}), ("mean", (0,), {}),
     ("max", (), {"axis": 1, "keepdims": True}), ("min", (), {}), ("prod", (1,), {}),
     ("var", (), {"ddof": 1}),
     ("std", (0,), {}), ("cumsum", (1,), {}), ("cumprod", (1,), {}), ("reshape", (4, 3), {}),
     ("transpose", (1, 0), {}), ("ravel", (), {}),
     ("flatten", (), {}), ("squeeze", (), {}), ("swapaxes", (0, 1), {}), ("clip", (-1, 1), {}),
     ("diagonal", (1,), {}), ("trace", (), {}),
     ("repeat", (2, 1), {}),
     ("take", ([0, 2], 1), {}), ("dot", (np.ones(4),), {}), ("round", (1,), {}), ("argmax", (1,), {}),
     ("argmin", (), {}),
     ("argsort", (1,), {}), ("all", (), {}), ("any", (1,), {"keepdims": True}), ("copy", (), {}),
     ("tolist", (), {})],
)  # fmt: skip
def test_methods_are_numpys(name, args, kwargs):
    x = np.linspace(-2, 3, 12).reshape(3, 4) ** 3 / 7
    ours = [tg.tensor(arg) if isinstance(arg, np.ndarray) else arg for arg in args]
    found, expected = getattr(tg.tensor(x), name)(*ours, **kwargs), getattr(x, name)(*args, **kwargs)
    np.testing.assert_allclose(
        np.asarray(found.numpy() if isinstance(found, tg.Tensor) else found), expected, rtol=1e-13
    )
    assert np.shape(found) == np.shape(expected)


@pytest.mark.both_backends
def test_copy_is_memory_of_its_own_and_passes_residuals():
    x = tg.tensor(np.ones(2), requires_grad=True)
    y = tg.copy(x)
    np.testing.assert_array_equal(tg.gradients((y * 3).sum(), x).numpy(), 3)
    plain = tg.tensor(np.arange(2))
    twin = plain.copy()
    twin.data[0] = 9
    assert plain.tolist() == [0, 1]
