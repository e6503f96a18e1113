"""A piece of program as one entry: checkpoints."""

from __future__ import annotations

import numpy
import pytest
from numpy.testing import assert_allclose

import tinygrad_rnn as tg
from tests.tape.leaves import grad_of, leaf
from tinygrad_rnn.tensor import Tensor


def test_checkpoint_keeps_only_what_goes_in_and_finds_what_it_closes_over(
    rng: numpy.random.Generator,
) -> None:
    a, b = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    x, w = leaf(a), leaf(b)
    scale = w * 2  # a result on the way that the function closes over

    def block(y: Tensor) -> Tensor:
        for _ in range(3):
            y = tg.tanh(y @ scale)
        return y

    kept = tg.sum(tg.checkpoint(block)(x) ** 2)
    assert len(tg.Tape.of(kept)) == 4  # w · 2, the block, the square, the sum
    kept.backward()
    found = grad_of(x).copy(), grad_of(w).copy()
    x.grad = w.grad = None
    tg.sum(block(x) ** 2).backward()
    assert_allclose(found[0], grad_of(x), rtol=1e-13)
    assert_allclose(found[1], grad_of(w), rtol=1e-13)


def test_second_order_through_checkpoint(rng: numpy.random.Generator) -> None:
    a, b = rng.normal(size=3), rng.normal(size=3)
    w = leaf(b)

    def f(x: Tensor) -> Tensor:
        return tg.sum(tg.sin(x * w) * x)

    ours, plain = tg.checkpoint(f), f
    x = leaf(a)
    vectors = []
    for g in (ours, plain):
        first = tg.gradients(g(x), [x, w], create_graph=True)
        mixed = tg.gradients(tg.sum(first[0] * first[1]), [x, w])
        vectors.append([v.numpy() for v in (*first, *mixed)])
    for one, other in zip(*vectors, strict=True):
        assert_allclose(one, other, rtol=1e-12)
    numpy.testing.assert_allclose(
        tg.hessian(ours)(tg.tensor(a)).numpy(), tg.hessian(plain)(tg.tensor(a)).numpy(), rtol=1e-12
    )
    diagonal = 2 * b * numpy.cos(a * b) - a * b * b * numpy.sin(a * b)
    assert_allclose(tg.hessian(ours)(tg.tensor(a)).numpy(), numpy.diag(diagonal), rtol=1e-12, atol=1e-14)


def test_checkpoint_of_several_results_and_of_none_that_need() -> None:
    x = leaf([1.0, 2.0])
    both = tg.checkpoint(lambda y, n: {"twice": y * 2, "plain": y.detach() * n})(x, 3)
    tg.sum(both["twice"]).backward()
    assert grad_of(x).tolist() == [2.0, 2.0]
    assert not both["plain"].requires_grad
    with pytest.raises(tg.DtypeError, match="must return tensors"):
        tg.checkpoint(lambda y: 3)(x)
    with tg.no_grad():
        assert not tg.checkpoint(lambda y: y * 2)(x).requires_grad
    x.data[0] = 5.0
    again = tg.checkpoint(lambda y: tg.exp(y))(x)
    x.data[0] = 6.0
    with pytest.raises(tg.TapeError, match="'checkpoint'"):
        tg.sum(again).backward()
