"""A program that is run a second time, for a backward pass or to look inside, is the same program: or nobody
gets a wrong number."""

from __future__ import annotations

import random

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.chance import next_numbers, settled
from tinygrad_rnn import nn

pytestmark = pytest.mark.numpy_only

DRAWS = {
    "np.random": lambda shape: np.random.random(shape),
    "random": lambda shape: np.array([random.random() for _ in range(np.prod(shape))]).reshape(shape),
    "tg.random": lambda shape: tg.random.generator().random(shape),
    "dropout": lambda shape: nn.Dropout(0.4)(tg.ones(shape, "float64")).numpy() * 0.5,
}


def zoneout(weight, draw):
    def cell(x, h):
        new = tg.tanh(x @ weight + h)
        h = tg.where(draw(h.shape) < 0.3, h, new)
        return h, h

    return cell


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("checkpoint", [1, 4, 100])
def test_a_checkpointed_scan_draws_the_same_numbers_again(draw, checkpoint, rng):
    weight = tg.tensor(rng.normal(size=(4, 4)), requires_grad=True)
    x, h = rng.normal(size=(10, 3, 4)), tg.tensor(rng.normal(size=(3, 4)), requires_grad=True)
    found = []
    for every in (None, checkpoint):
        settled(1)
        weight.grad = h.grad = None
        ys, _ = tg.scan(zoneout(weight, draw), x, h, checkpoint=every)
        tg.sum(ys * ys).backward()
        found.append((ys.numpy(), weight.grad.numpy(), h.grad.numpy(), next_numbers()))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_checkpointed_function_draws_the_same_numbers_again(draw, rng):
    weight, x = tg.tensor(rng.normal(size=(4, 4)), requires_grad=True), rng.normal(size=(3, 4))

    def noisy(x):
        return tg.tanh(x @ weight) * draw((3, 4))

    found = []
    for function in (noisy, tg.checkpoint(noisy)):
        settled(2)
        weight.grad = None
        y = function(x)
        random.random(), np.random.random()  # other draws in between
        tg.sum(y * y).backward()
        found.append((y.numpy(), weight.grad.numpy(), next_numbers()))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def own_generator():
    rng = np.random.default_rng(3)
    return lambda x: x * rng.random()


def own_counter():
    calls = []
    return lambda x: (calls.append(1), x * len(calls))[1]


def own_setting():
    settings = {"gain": 1.0}
    function = lambda x: x * settings["gain"]  # noqa: E731
    function.change = lambda: settings.update(gain=2.0)
    return function


def a_tensor_without_gradient():
    scale = tg.tensor(np.ones(4))

    def function(x):
        return x * scale

    function.change = lambda: setattr(scale, "data", np.full(4, 2.0))
    return function


@pytest.mark.parametrize("make", [own_generator, own_counter, own_setting, a_tensor_without_gradient])
def test_what_comes_out_different_is_an_error_before_a_gradient_is_returned(make, rng):
    x = tg.tensor(rng.normal(size=(3, 4)), requires_grad=True)
    function = make()
    y = tg.sum(tg.checkpoint(function)(x) ** 2)
    getattr(function, "change", lambda: None)()
    with pytest.raises(tg.TapeError, match="other numbers"):
        y.backward()
    assert x.grad is None


LOOKS = {
    "first order": lambda loss, x: tg.gradients(loss, x),
    "second order": lambda loss, x: tg.gradients(tg.sum(tg.gradients(loss, x, create_graph=True) ** 2), x),
    "forward mode": lambda loss, x: tg.tape.push_forward([loss], [(x, x._data)])[0],
    "looked at": lambda loss, x: tg.flow(loss).tracks[0].gains,
}


@pytest.mark.parametrize("checkpoint", [None, 2])
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_compiled_scan_is_run_again_as_it_ran_whatever_changed_since(look, checkpoint, rng):
    class Cell(nn.Module):
        def __init__(self):
            self.W, self.gain = nn.Parameter(rng.normal(size=(4, 4))), 1.0

        def __call__(self, x, h):
            h = tg.tanh(x + h @ self.W) * self.gain
            return h, h

    cell, x, h = (
        Cell(),
        tg.tensor(rng.normal(size=(5, 2, 4)), requires_grad=True),
        tg.zeros((2, 4), "float64"),
    )

    def looked(change):
        loss = tg.sum(tg.scan(cell, x, h, compiled=True, checkpoint=checkpoint)[0] ** 2)
        cell.gain = change
        found = look(loss, x)
        return np.asarray(found.numpy() if hasattr(found, "numpy") else found)

    np.testing.assert_array_equal(looked(1.0), looked(3.0))


def test_what_cancels_out_of_the_results_is_compared_too():
    """A straight-through estimator: the drawn number is in no value, and in every slope."""
    generator = np.random.default_rng(0)
    W = tg.tensor(np.ones(3), requires_grad=True)
    for drawn in (
        lambda: float(generator.random()),
        lambda: tg.tensor(generator.random(3)),
        lambda: [float(generator.random())] * 3,
    ):

        def f(x, drawn=drawn):
            g = x * W
            return x * W + (g - g.detach()) * drawn()

        loss = tg.sum(tg.checkpoint(f)(tg.tensor(np.ones(3), requires_grad=True)))
        with pytest.raises(tg.TapeError, match="came to them in another way"):
            loss.backward()
        assert W.grad is None


def test_which_of_two_equal_weights_was_used_is_compared_too():
    one, other = (tg.tensor(np.ones(3), requires_grad=True) for _ in range(2))
    order = iter([one, other])
    loss = tg.sum(tg.checkpoint(lambda x: x * next(order))(tg.tensor(np.ones(3), requires_grad=True)))
    with pytest.raises(tg.TapeError, match="came to them in another way"):
        loss.backward()


SWAPPED = {
    "arguments": lambda a, b, swap: (b if swap else a) * 3.0,
    "places": lambda a, b, swap: a[-2 if swap else -1] * b,
    "places of NumPy's": lambda a, b, swap: a[np.int64(-2 if swap else -1)] * b,
    "slices": lambda a, b, swap: a.reshape(2, -1)[-2::2] if swap else a.reshape(2, -1)[-1::2],
}
"""Pairs that Python hashes alike, as it does −1 and −2, and the first and second of something counted
backwards."""


@pytest.mark.parametrize("choose", SWAPPED.values(), ids=SWAPPED)
def test_which_of_two_equal_operands_was_used_is_compared_too(choose):
    a, b = (tg.tensor(np.ones(4), requires_grad=True) for _ in range(2))
    swaps = iter([False, True])
    loss = tg.sum(tg.checkpoint(lambda a, b: choose(a, b, next(swaps)))(a, b))
    with pytest.raises(tg.TapeError, match="came to them in another way"):
        loss.backward()
    assert (a.grad, b.grad) == (None, None)


@pytest.mark.parametrize("segment", [None, 2])
def test_results_that_were_made_outside_keep_their_gradient(segment):
    def made():
        W, x = (tg.tensor(np.full((3, 3), value), requires_grad=True) for value in (0.3, 0.7))
        return W, x, tg.tanh(W)

    gradients = []
    for wrapped in (lambda f: f, tg.checkpoint):
        W, x, V = made()
        a, b, c, d = wrapped(lambda x, V=V, W=W: (x @ W, V, W, x))(x)
        assert all(y.requires_grad for y in (a, b, c, d))
        tg.sum(a + b**2 + c**3 + d**4).backward()
        gradients.append((W.grad.numpy(), x.grad.numpy()))
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-12)

    gradients = []
    for compiled, length in ((False, None), (False, segment), ("auto", segment)):
        W, x, V = made()
        xs, h = tg.tensor(np.ones((4, 3, 3))), tg.tensor(np.zeros((3, 3)))
        ys, _ = tg.scan(
            lambda x, h, V=V, W=W: ((tg.tanh(x + h @ W), V, W), tg.tanh(x + h)),
            xs,
            h,
            compiled=compiled,
            checkpoint=length,
        )
        assert [y.requires_grad for y in ys] == [True, True, True]
        tg.sum(ys[0] + ys[1] ** 2 + ys[2] ** 3).backward()
        gradients.append(W.grad.numpy())
    np.testing.assert_allclose(gradients[1:], [gradients[0]] * 2, rtol=1e-12)
