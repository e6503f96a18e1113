"""How residuals walk back: where they meet, what they are refused, and what is released on the way."""

from __future__ import annotations

import functools
import itertools

import numpy
import pytest
from numpy.testing import assert_allclose

import tinygrad_rnn as tg
from tests.tape.leaves import grad_of, leaf


def test_fan_out_adds_up(rng: numpy.random.Generator) -> None:
    a = rng.normal(size=(3, 4))
    x = leaf(a)
    y = tg.tanh(x)
    tg.sum(y * 2 + y * y - tg.exp(y) + x).backward()
    t = numpy.tanh(a)
    assert_allclose(grad_of(x), (2 + 2 * t - numpy.exp(t)) * (1 - t * t) + 1, rtol=1e-13)


def test_one_tensor_on_both_sides_of_an_operation(rng: numpy.random.Generator) -> None:
    a = rng.normal(size=(3, 3))
    for operation, expected in (
        (lambda x: x + x, 2 + 0 * a),
        (lambda x: x - x, 0 * a),
        (lambda x: x * x, 2 * a),
        (lambda x: x @ x, numpy.ones((3, 3)) @ a.T + a.T @ numpy.ones((3, 3))),
        (lambda x: tg.concatenate([x, x, x]), 3 + 0 * a),
        (lambda x: tg.maximum(x, x), 1 + 0 * a),
        (lambda x: x * x[0], a[0] + numpy.array([1.0, 0, 0])[:, None] * a.sum(axis=0)),
    ):
        x = leaf(a)
        tg.sum(operation(x)).backward()
        assert_allclose(grad_of(x), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.both_backends
def test_broadcast_is_undone(rng: numpy.random.Generator) -> None:
    a, b, c, d = rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 1)), rng.normal(size=4), rng.normal()
    xs = [leaf(v) for v in (a, b, c, d)]
    tg.sum(xs[0] * xs[1] * xs[2] * xs[3]).backward()
    product = a * b * c * d
    assert_allclose(grad_of(xs[0]), product / a, rtol=1e-12)
    assert_allclose(grad_of(xs[1]), (product / b).sum(axis=(0, 2)).reshape(3, 1), rtol=1e-12)
    assert_allclose(grad_of(xs[2]), (product / c).sum(axis=(0, 1)), rtol=1e-12)
    assert_allclose(grad_of(xs[3]), (product / d).sum(), rtol=1e-12)


def test_what_is_not_used_gets_nothing() -> None:
    x, unused, constant = leaf([1.0, 2.0]), leaf([3.0]), tg.tensor([5.0, 6.0])
    unused_result = tg.exp(x)
    parts = tg.split(x * constant, 2)
    parts[0].sum().backward()
    assert unused.grad is None
    assert constant.grad is None
    assert unused_result.grad is None
    assert grad_of(x).tolist() == [5.0, 0.0]
    assert tg.gradients(tg.sum(x), [unused, x])[0].tolist() == [0.0]


def test_backward_twice_accumulates() -> None:
    x = leaf([1.0, 2.0])
    loss = tg.sum(x * x)
    loss.backward()
    loss.backward()
    assert grad_of(x).tolist() == [4.0, 8.0]
    tg.sum(x * 3.0).backward()
    assert grad_of(x).tolist() == [7.0, 11.0]
    x.grad = None
    loss.backward(grad=0.5)
    assert grad_of(x).tolist() == [1.0, 2.0]


@pytest.mark.both_backends
def test_grads_share_memory_with_nothing() -> None:
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    start = tg.tensor(numpy.array([1.0, 1.0]))
    total = x + y
    total.backward(grad=start)
    assert x.grad is not None
    assert y.grad is not None
    kept = x.grad
    x.grad.data[0] = 100.0
    assert grad_of(y).tolist() == [1.0, 1.0]
    assert start.tolist() == [1.0, 1.0]
    total.backward(grad=start)
    assert kept.tolist() == [100.0, 1.0]  # a gradient once handed out is not written to
    assert grad_of(x).tolist() == [101.0, 2.0]
    assert grad_of(y).tolist() == [2.0, 2.0]
    a, b = tg.gradients(total, [x, y], start)
    a.data[0] = 7.0
    assert b.tolist() == start.tolist() == [1.0, 1.0]


def test_gradients_of_results_on_the_way(rng: numpy.random.Generator) -> None:
    a = rng.normal(size=3)
    x = leaf(a)
    y = tg.sin(x)
    z = y * y
    loss = tg.sum(z * x)
    at_y, at_z, at_x = tg.gradients(loss, [y, z, x])
    assert_allclose(at_z.numpy(), a)
    assert_allclose(at_y.numpy(), 2 * numpy.sin(a) * a, rtol=1e-13)
    assert_allclose(at_x.numpy(), 2 * numpy.sin(a) * numpy.cos(a) * a + numpy.sin(a) ** 2, rtol=1e-13)
    assert x.grad is None
    (only_y,) = tg.gradients(loss, [y])
    assert_allclose(only_y.numpy(), at_y.numpy())


def test_create_graph_gives_derivatives_of_derivatives(rng: numpy.random.Generator) -> None:
    a = rng.normal(size=4)
    x = leaf(a)
    tg.sum(x**4).backward(create_graph=True)
    first = x.grad
    assert first is not None
    assert_allclose(first.numpy(), 4 * a**3, rtol=1e-13)
    second = tg.gradients(tg.sum(first), x, create_graph=True)
    assert_allclose(second.numpy(), 12 * a**2, rtol=1e-13)
    third = tg.gradients(tg.sum(second), x)
    assert_allclose(third.numpy(), 24 * a, rtol=1e-13)
    assert not third.requires_grad


@pytest.mark.both_backends
def test_residuals_without_axes_meet_in_any_order(backend):
    """A number that is used as it is, several times, and by an index that adds into a place of its own."""
    for uses in itertools.permutations(
        [lambda x: x * 2.0, lambda x: x * 3.0, lambda x: x[...], lambda x: x[()], lambda x: x * 5.0]
    ):
        x = tg.tensor(1.5, "float32", requires_grad=True)
        total = functools.reduce(tg.add, [use(x) for use in uses])
        total.backward()
        assert x.grad.numpy() == 12
        assert x.grad.shape == ()


def test_backward_of_what_cannot_be() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(tg.ShapeError, match="2 values"):
        (x * 2).backward()
    with pytest.raises(tg.ShapeError, match=r"\(3,\).*\(2,\)"):
        (x * 2).backward(grad=[1.0, 1.0, 1.0])
    with pytest.raises(tg.TapeError, match="requires_grad=True"):
        tg.tensor(1.0).backward()
    with tg.no_grad():
        y = tg.sum(x)
    with pytest.raises(tg.TapeError, match="no_grad"):
        y.backward()
    assert x.grad is None


def test_released_tape() -> None:
    x = leaf([1.0, 2.0])
    y = tg.exp(x)
    loss = tg.sum(y * y)
    tg.Tape.of(loss).release()
    for walk in (
        loss.backward,
        lambda: tg.Tape.of(loss),
        lambda: tg.gradients(loss, x),
        lambda: tg.sum(y + x).backward(),
    ):
        with pytest.raises(tg.TapeError, match=r"released.*forward pass again"):
            walk()
    assert x.grad is None
    tg.sum(x).backward()
    assert grad_of(x).tolist() == [1.0, 1.0]


def test_released_tape_still_prints() -> None:
    x = leaf([1.0, 2.0])
    recorded = tg.Tape.of(tg.sum(tg.exp(x)))
    recorded.release()
    assert [line.split()[-1] for line in repr(recorded).splitlines()] == ["inputs", "released", "released"]
