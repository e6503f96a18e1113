"""Compiled cells of values of other kinds than rows of one float dtype: the loop's results, or no machine code."""

from __future__ import annotations

import numpy as np
import pytest
from compare import compare

import tinygrad_rnn as tg
from tinygrad_rnn import nn, optim

T, B, H = 5, 2, 3


def numbers(*shape, dtype="float64", grad=False):
    values = np.random.default_rng(len(shape)).normal(size=shape)
    return tg.tensor(values > 0 if dtype == "bool" else values * 3, dtype, requires_grad=grad)


USES = {
    "product": lambda x, h, W, M: (x @ W) + h,
    "fixed product": lambda x, h, W, M: h @ M + h @ W,
    "one side of three kinds": lambda x, h, W, M: h @ W + h @ M + h @ (M * W.astype("float32")),
    "transposed": lambda x, h, W, M: h @ M.T + h @ W.T,
    "both": lambda x, h, W, M: x @ M + h,
    "concatenate": lambda x, h, W, M: tg.concatenate([x, h], axis=1)[:, 1:4] + h @ W,
    "stack": lambda x, h, W, M: tg.sum(tg.stack([x, h]), 0),
    "sum": lambda x, h, W, M: tg.sum(x, axis=1, keepdims=True) * h,
    "max": lambda x, h, W, M: tg.max(x, axis=1, keepdims=True) * h,
    "times": lambda x, h, W, M: x * h + M[:2] * h,
    "where": lambda x, h, W, M: tg.where(x, h, tg.where(M[:2], h * 2, -h)),
    "slice": lambda x, h, W, M: x[:, :1] * h,
    "product of a comparison": lambda x, h, W, M: (x > 0) @ W * h,
}


@pytest.mark.parametrize("kind", ["bool", "int64", "int8", "float32"])
@pytest.mark.parametrize("use", USES)
def test_operands_of_other_dtypes(backend, use, kind):
    W, h = numbers(H, H, grad=True), numbers(B, H, grad=True)
    x, M = numbers(T, B, H, dtype=kind), numbers(H, H, dtype=kind)

    def cell(x, h):
        new = tg.tanh(USES[use](x, h, W, M)).astype(h.dtype)
        return new, new

    compare(backend, cell, [W, h], x, h, must_be_native=False)


@pytest.mark.parametrize("shape", [(), (1,), (2,), (3,), (6,), (1, 3), (2, 3), (3, 2), (3, 3), (4, 3), (2, 1), (2, 2, 2)])
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("use", [lambda C: C, lambda C: C * 2, lambda C: tg.exp(C)], ids=["itself", "twice", "exp"])
def test_outputs_that_are_fixed(backend, shape, grad, use):
    C, x, h = numbers(*shape, grad=grad), numbers(T, B, H, grad=True), numbers(B, H, grad=True)

    def cell(x, h):
        new = tg.tanh(x + h)
        return (use(C), new), new

    compare(backend, cell, [C, x, h] if grad else [x, h], x, h, must_be_native=False)


def test_a_parameter_that_no_residual_reaches_has_no_grad():
    """Zeros in place of None, and an optimiser with weight decay trains what the loop does not."""
    for compiled in (False, "auto"):
        U, V = nn.Parameter(np.ones((H, H))), nn.Parameter(np.ones((H, H)))

        def cell(x, h, U=U, V=V):
            return tg.tanh(x @ U), tg.tanh(h @ V)

        ys, _ = tg.scan(cell, numbers(T, B, H), numbers(B, H), compiled=compiled)
        tg.sum(ys).backward()
        assert V.grad is None
        assert U.grad is not None
        optim.AdamW([U, V], lr=0.1, weight_decay=0.1).step()
        assert (V.numpy() == 1).all()


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("which", ["ys", "last", "both"])
def test_residuals_take_as_many_steps_as_in_the_loop(backend, steps, which):
    """The states are a queue: what comes in reaches the outputs three steps later."""
    parameters = [numbers(H, H, grad=True) for _ in range(4)]
    x, first = numbers(steps, B, H, grad=True), [numbers(B, H, grad=True) for _ in range(3)]

    def cell(x, states):
        a, b, c = states
        W, U, V, R = parameters
        return tg.tanh(c @ R), (tg.tanh(x @ W), tg.tanh(a @ U), tg.tanh(b @ V))

    compare(backend, cell, [*parameters, x, *first], x, tuple(first), must_be_native=False, which=which)
    live = np.arange(steps)[:, None] < [steps, steps - 1]
    for masked_output in ("zero", "previous"):
        for reverse in (False, True):
            options = {"live": live, "masked_output": masked_output, "reverse": reverse}
            compare(backend, cell, [*parameters, x, *first], x, tuple(first), must_be_native=False, which=which, **options)
