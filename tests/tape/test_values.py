"""Values leave the tape only where that is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.tape.leaves import leaf

Tensor = tg.Tensor


SHUT: dict[str, Callable[[Tensor], Any]] = {
    "asarray": lambda t: np.asarray(t),
    "array": lambda t: np.array(t),
    "array of a list": lambda t: np.array([t, t]),
    "array of a mixed list": lambda t: np.array([t[0], 1.0]),
    "object array": lambda t: np.array([t], dtype=object),
    "a method of arrays": lambda t: np.ones(2).dot(t),
    "random numbers": lambda t: np.random.default_rng(0).normal(t),
    "vectorize": lambda t: np.vectorize(lambda x: x)(t),
    "masked array": lambda t: np.ma.array(t),
    "masked array on the left": lambda t: np.ma.array([1.0, 2.0], mask=[False, True]) + t,
    "function of masked arrays": lambda t: np.ma.exp(t),
    "type of NumPy": lambda t: np.float32(t[0]),
    "argument of a polynomial": lambda t: np.polynomial.Polynomial([1.0, 2.0])(t),
    "function of SciPy": lambda t: pytest.importorskip("scipy.special").expit(t),
    "assert_allclose": lambda t: np.testing.assert_allclose(t, t.numpy()),
    "tensor": lambda t: tg.tensor(t),
    "array of ours": lambda t: tg.array(t * 1),
    "tensor of a list": lambda t: tg.tensor([t, t]),
    "a leaf of a result": lambda t: tg.nn.Parameter(t * 2),
    "a number for full": lambda t: tg.full((2,), t[0]),
    "a bound of linspace": lambda t: tg.linspace(t[0], 1.0, 3),
    "a constant for pad": lambda t: tg.pad(t, 1, constant_values=t[0]),
    "a constant 0 for pad": lambda t: tg.pad(t, 1, constant_values=t[0] * 0),
}


@pytest.mark.numpy_only
@pytest.mark.parametrize("take", SHUT.values(), ids=SHUT)
def test_values_do_not_leave_the_tape_unasked(take: Callable[[Tensor], Any]) -> None:
    t = leaf([1.5, 0.5]) * 1
    with pytest.raises(tg.TapeError, match=r"leave the tape.*\.detach\(\)"):
        take(t)
    with tg.no_grad():
        take(t)
    take(t.detach())


def test_values_leave_the_tape_where_that_is_asked_for() -> None:
    t = leaf([1.5, 0.5]) * 1
    assert (
        t.numpy().tolist() == t.data.tolist() == t.tolist() == np.asarray(t.detach()).tolist() == [1.5, 0.5]
    )
    assert (float(t[0]), int(t[0]), t[0].item(), math.exp(t[1])) == (1.5, 1, 1.5, math.exp(0.5))
    assert np.array([x.item() for x in t]).tolist() == [1.5, 0.5]
    assert sum([t[0], t[1]]).requires_grad
    assert max(t[0], t[1]).requires_grad
    parameter = tg.nn.Parameter(leaf([1.5, 0.5]))
    assert tg.nn.Parameter(parameter).tolist() == tg.tensor(parameter).tolist() == [1.5, 0.5]
    row = np.zeros(2)
    row[0] = t[0]  # NumPy calls float(t[0])
    assert row[0] == 1.5
    constant = tg.tensor([0.0, 0.0])
    constant.data = t.astype("float32")
    assert constant.tolist() == [1.5, 0.5]


def test_a_function_that_is_differentiated_does_not_copy_its_argument_off_the_tape() -> None:
    with pytest.raises(tg.TapeError, match="leave the tape"):
        tg.grad(lambda x: tg.sum(tg.tensor(x) * x))(np.ones(2))
    assert tg.grad(lambda x: tg.sum(tg.asarray(x) * x))(np.ones(2)).tolist() == [2.0, 2.0]
