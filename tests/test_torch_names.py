"""PyTorch's names: they work, or the error says what to write."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tinygrad_rnn as tg

Tensor = tg.Tensor


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("view", r"x\.reshape"),
        ("unsqueeze", r"tg\.expand_dims"),
        ("tanh", r"tg\.tanh\(x\)"),
        ("zero_", r"W\.grad = None"),
        ("cuda", "cupy"),
    ],
)
def test_names_of_pytorch(name: str, advice: str) -> None:
    x = tg.tensor([1.0])
    with pytest.raises(AttributeError, match=f"{name}.*{advice}"):
        getattr(x, name)
    assert not hasattr(x, name)


@pytest.mark.parametrize(("make", "value"), [(tg.zeros, 0.0), (tg.ones, 1.0)])
def test_sizes_one_by_one(make: Callable[..., Tensor], value: float) -> None:
    for x in (make(2, 3), make((2, 3)), make([2, 3]), make(shape=(2, 3)), make(np.int64(2), 3)):
        assert (x.shape, x.dtype) == ((2, 3), np.float32)
        assert (x.numpy() == value).all()
    assert make(4).shape == (4,)
    assert make(2, 3, 4).shape == (2, 3, 4)
    for x in (
        make((2, 3), "float64"),
        make(2, 3, dtype="float64"),
        make((2, 3), dtype=np.float64),
        make(2, np.float64),
    ):
        assert x.dtype == np.float64
    assert make(()).shape == ()
    for wrong in (
        lambda: make((2, 3), 4, 5),
        lambda: make(2, "float64", dtype="float64"),
        lambda: make(2, 3, "float64"),
    ):
        with pytest.raises(tg.ArgumentError, match="shape"):
            wrong()
