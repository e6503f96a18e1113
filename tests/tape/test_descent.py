"""Descent written by hand, as students and users of PyTorch write it: it works, or the error says what to
write."""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn

Tensor = tg.Tensor


CURVATURE, START, RATE, STEPS = np.array([1.0, 0.5, 2.0]), np.array([1.0, -2.0, 3.0]), 0.1, 5


EXPECTED = START * (1 - RATE * CURVATURE) ** STEPS
"""Where descent on ½ Σ c w² is after so many steps."""


def _by_assignment(W: Tensor) -> None:
    with tg.no_grad():
        W -= RATE * W.grad
    W.grad = None


def _by_data(W: Tensor) -> None:
    W.data -= RATE * W.grad.data
    W.grad = None


def _by_data_and_tensor(W: Tensor) -> None:
    W.data -= RATE * W.grad
    W.grad = None


def _by_slice_of_data(W: Tensor) -> None:
    W.data[:] -= RATE * W.grad
    W.grad = None


def _by_new_data(W: Tensor) -> None:
    W.data = W.data - RATE * W.grad
    W.grad = None


def _by_sum_and_product(W: Tensor) -> None:
    with tg.no_grad():
        W.grad *= -RATE
        W += W.grad
        W *= 2
        W /= 2.0
        W **= 1
    W.grad = None


def _loss(W: Tensor) -> Tensor:
    return 0.5 * tg.sum(tg.tensor(CURVATURE) * W * W)


def _loss_of_scan(W: Tensor) -> Tensor:
    """The same, one element a step."""

    def cell(x: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        total = total + 0.5 * tg.sum(x * W * W, keepdims=True)
        return total, total

    ys, _ = tg.scan(cell, tg.tensor(np.diag(CURVATURE)[:, None]), tg.zeros((1, 3), "float64"))
    return tg.sum(ys[-1]) / 3


def _descends(descend: Callable[[Tensor], None], loss: Callable[[Tensor], Tensor]) -> None:
    W = tg.tensor(START, requires_grad=True)
    first = W
    for _ in range(STEPS):
        loss(W).backward()
        descend(W)
    assert W is first
    assert W.is_leaf
    assert W.requires_grad
    np.testing.assert_allclose(W.numpy(), EXPECTED, rtol=1e-12)


@pytest.mark.parametrize("loss", [_loss, _loss_of_scan])
@pytest.mark.parametrize("descend", [_by_assignment, _by_data, _by_new_data, _by_sum_and_product])
def test_descent_by_hand(descend: Callable[[Tensor], None], loss: Callable[[Tensor], Tensor]) -> None:
    _descends(descend, loss)


@pytest.mark.numpy_only
@pytest.mark.parametrize("loss", [_loss, _loss_of_scan])
@pytest.mark.parametrize("descend", [_by_data_and_tensor, _by_slice_of_data])
def test_descent_that_writes_a_tensor_into_an_array(
    descend: Callable[[Tensor], None], loss: Callable[[Tensor], Tensor]
) -> None:
    """CuPy's arrays take arrays only."""
    _descends(descend, loss)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_descent_keeps_the_dtype(dtype: str) -> None:
    W = nn.Parameter(START, dtype)
    with tg.no_grad():
        W -= tg.tensor(np.ones(3))
    W.grad = tg.tensor(np.ones(3))
    assert (W.dtype, W.grad.dtype) == (dtype, dtype)
    with pytest.raises(tg.ShapeError, match="shape"), tg.no_grad():
        W -= tg.ones((2, 3))
    np.testing.assert_allclose(W.numpy(), START - 1, rtol=1e-3)


def _rebinding(W: Tensor) -> Tensor:
    W -= RATE * W.grad
    W.grad = None
    return W


def _new_name(W: Tensor) -> Tensor:
    return W - RATE * W.grad


def _added(W: Tensor) -> Tensor:
    W += -RATE * W.grad
    return W


@pytest.mark.parametrize("descend", [_rebinding, _new_name, _added])
def test_descent_that_is_recorded_is_told_what_to_write(descend: Callable[[Tensor], Tensor]) -> None:
    W = tg.tensor(START, requires_grad=True)
    _loss(W).backward()
    W = descend(W)
    _loss(W).backward()
    with pytest.raises(tg.TapeError, match=r"with tg\.no_grad\(\): W -= 0\.1 \* W\.grad.*W\.data -= "):
        descend(W)


@pytest.mark.parametrize("descend", [_rebinding, _added])
def test_a_recorded_step_of_a_parameter_is_told(descend: Callable[[Tensor], Tensor]) -> None:
    """In ``for p in layer.parameters(): p -= …`` nothing else would say that nothing changes."""
    layer = nn.Linear(2, 1)
    tg.sum(layer(tg.ones((3, 2)))).backward()
    with pytest.warns(tg.ArgumentWarning, match=r"the parameter is what it was.*with tg\.no_grad\(\)"):
        descend(layer.weight)

    class Masked(nn.Module):
        def __init__(self) -> None:
            self.W = nn.Parameter(np.ones(3))

        def __call__(self, x: Tensor) -> Tensor:
            W = self.W
            W -= tg.tensor([1.0, 0.0, 0.0])
            return x * W

    model = Masked()
    for _ in range(2):  # not of a step in a module, which is meant
        tg.sum(model(tg.ones(3))).backward()
    np.testing.assert_array_equal(model.W.grad.numpy(), [2, 2, 2])


def test_a_result_has_no_grad_and_says_so_only_where_it_was_a_leaf() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = tg.exp(x)
    (tg.sum(y) + tg.sum(x + 1)).backward()
    for other in (y, x * y, x * 2, x + 1, x - tg.tensor([[1.0, 2.0]]), y - x, tg.tensor([1.0])):
        assert other.grad is None


def test_what_was_recorded_before_keeps_its_array() -> None:
    W = tg.tensor([1.0, 2.0], requires_grad=True)
    loss = tg.sum(W**3)
    old = W.data
    with tg.no_grad():
        W -= 1.0
    assert old.tolist() == [1.0, 2.0]
    loss.backward()
    assert W.grad.tolist() == [3.0, 12.0]
    with pytest.raises(tg.TapeError, match="another array"):
        loss.backward(create_graph=True)


@pytest.mark.both_backends
def test_a_tape_that_became_stale_is_noticed(backend: str) -> None:
    W = tg.tensor([1.0, 2.0], requires_grad=True)
    loss = tg.sum(W**3)
    loss.backward()
    W.data -= 0.1 * W.grad.data
    with pytest.raises(tg.TapeError, match="changed in place"):
        loss.backward()


def test_augmented_assignment_of_anything_else_is_plain_arithmetic() -> None:
    x, c = tg.tensor([1.0, 2.0], requires_grad=True), tg.tensor([5.0])
    y = x
    y += 1
    y *= y
    tg.sum(y).backward()
    assert x.grad.tolist() == [4.0, 6.0]
    assert x.tolist() == [1.0, 2.0]
    with tg.no_grad():
        d, z = c, x * 1
        d += 1
        z -= 1
    assert (c.tolist(), d.tolist(), z.tolist()) == ([5.0], [6.0], [0.0, 1.0])
    changes = (
        (operator.ifloordiv, 2.0),
        (operator.imod, 1.0),
        (operator.imatmul, 20.0),
        (operator.ipow, 25.0),
    )
    for change, value in changes:
        W, M = tg.tensor(np.full((2, 2), 5.0), requires_grad=True), tg.tensor(np.full((2, 2), 2.0))
        with tg.no_grad():
            assert change(W, M) is W
        assert (W.numpy() == value).all()
