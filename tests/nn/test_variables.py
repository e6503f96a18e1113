"""The parameters of a cell that is a plain function: what it closes over, its defaults, what it is bound to,
the globals that it names."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.nn.variables import held_by

SHARED = nn.Parameter(np.eye(3), "float64")
UNUSED = nn.Parameter(np.eye(3), "float64")
LAYER = nn.Linear(3, 3, dtype="float64")


def by_a_helper(x):
    return x @ SHARED


def with_globals(x, h):
    h = tg.tanh(LAYER(x) + by_a_helper(h))
    return h, h


class Plain:
    """No module."""

    def __init__(self, U):
        self.U = U

    def step(self, x, h):
        h = tg.tanh(x + h @ self.U)
        return h, h

    def __call__(self, x, h):
        return self.step(x, h)


def closing_over(W):
    def cell(x, h):
        h = tg.tanh(x @ W + h)
        return h, h

    return cell


def with_a_default(U):
    def cell(x, h, *, W=U, scale=2.0):
        h = tg.tanh(x @ W * scale + h)
        return h, h

    return cell


def partial(U):
    def step(W, x, h, b=None):
        h = tg.tanh(x @ W + h if b is None else b)
        return h, h

    return functools.partial(functools.partial(step, U), b=None)


def in_a_list(U):
    kept = [{"deep": (U, "no parameter", 3)}]

    def cell(x, h):
        h = tg.tanh(x @ kept[0]["deep"][0] + h)
        return h, h

    return cell


def of_a_function(U):
    inner = closing_over(U)
    return lambda x, h: inner(x, h)


def module_of(U):
    cell = nn.RNNCell(3, 3, bias=False, dtype="float64")
    cell.weight_ih = U
    cell.weight_hh = U
    return lambda x, h: cell(x, h)


CELLS = {
    closing_over: "cell.W",
    with_a_default: "cell.W",
    partial: "cell.W",
    in_a_list: "cell.kept.0.deep.0",
    of_a_function: "cell.inner.W",
    module_of: "cell.cell.weight_ih",
    Plain: "cell.U",
    lambda U: Plain(U).step: "cell.self.U",
}


@pytest.mark.parametrize("make", CELLS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("compiled", [False, "auto"])
def test_a_function_is_trained_as_a_module_is(make, compiled, rng):
    """The layer knows the parameter under the name of its variable, and an optimiser of the layer moves
    it."""
    U = nn.Parameter(rng.normal(size=(3, 3)), "float64")
    layer = nn.Recurrent(make(U), compiled=compiled)
    assert [name for name, _ in layer.named_parameters()] == [CELLS[make]]
    assert layer.parameters()[0] is U
    optimiser = tg.optim.SGD(layer.parameters(), lr=0.1)
    ys, _ = layer(tg.tensor(rng.normal(size=(4, 2, 3))), tg.zeros((2, 3), "float64"))
    tg.sum(ys * ys).backward()
    before, g = U.numpy().copy(), U.grad.numpy()
    assert g.any()
    optimiser.step()
    np.testing.assert_allclose(U.numpy(), before - 0.1 * g, rtol=1e-15)


def test_globals_that_the_code_names():
    layer = nn.Recurrent(with_globals)
    assert list(layer.state_dict()) == ["cell.LAYER.weight", "cell.LAYER.bias", "cell.by_a_helper.SHARED"]
    layer.load_state_dict(layer.state_dict())
    assert list(nn.Sequential(by_a_helper).state_dict()) == ["0.SHARED"]


def test_a_parameter_that_the_module_holds_itself_keeps_its_name():
    class Net(nn.Module):
        def __init__(self):
            self.layer = nn.Recurrent(self.step)
            self.W = nn.Parameter(np.eye(3))
            self.act = lambda x: tg.tanh(x @ self.W)

        def step(self, x, h):
            h = self.act(x) + h
            return h, h

    net = Net()
    assert list(net.state_dict()) == ["W"]
    assert list(net.layer.state_dict()) == ["cell.self.W"]


def test_results_and_constants_are_no_parameters():
    W = nn.Parameter([1.0])
    result, constant = W * 2, tg.tensor([1.0])
    assert nn.Recurrent(lambda x, h: (x * result + constant, h)).parameters() == []


def test_functions_that_know_each_other_are_looked_at_once():
    W = nn.Parameter([1.0])

    def even(n):
        return odd(n - 1) * W if n else 1

    def odd(n):
        return even(n - 1) * W if n else 0

    assert [id(p) for p in nn.Sequential(even, odd).parameters()] == [id(W)]


def test_a_variable_that_is_not_set_yet():
    def make():
        def cell(x, h):
            return x @ later, h

        layer = nn.Recurrent(cell)
        before = layer.parameters()
        later = nn.Parameter(np.eye(3))
        return before, layer.parameters(), later

    before, after, later = make()
    assert before == []
    assert [id(p) for p in after] == [id(later)]


def test_switches_and_dtypes_reach_what_a_function_holds():
    drop, W = nn.Dropout(0.5), nn.Parameter([1.0])
    model = nn.Sequential(lambda x: drop(x * W))
    model.eval()
    assert not drop.training
    assert model.astype("float64").parameters()[0].dtype == np.float64


@pytest.mark.parametrize(
    "function",
    [tg.tanh, np.tanh, math.sin, print, functools.partial(print), [].append, int, nn.GRU, "text".join],
)
def test_functions_of_others_hold_nothing(function):
    assert [name for name, value in held_by(function) if isinstance(value, tg.Tensor)] == []
    assert nn.Sequential(nn.Linear(2, 2)).parameters()
