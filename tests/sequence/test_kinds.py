"""Compiled cells of values of other kinds than rows of one float dtype: the loop's results, or no machine
code."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.compare import compare
from tinygrad_rnn import nn, optim
from tinygrad_rnn.chain_rule import rows

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


@pytest.mark.both_backends
@pytest.mark.parametrize("kind", ["bool", "int64", "int8", "float32"])
@pytest.mark.parametrize("use", USES)
def test_operands_of_other_dtypes(backend, use, kind):
    W, h = numbers(H, H, grad=True), numbers(B, H, grad=True)
    x, M = numbers(T, B, H, dtype=kind), numbers(H, H, dtype=kind)

    def cell(x, h):
        new = tg.tanh(USES[use](x, h, W, M)).astype(h.dtype)
        return new, new

    compare(backend, cell, [W, h], x, h, must_be_native=False)


@pytest.mark.parametrize(
    "shape", [(), (1,), (2,), (3,), (6,), (1, 3), (2, 3), (3, 2), (3, 3), (4, 3), (2, 1), (2, 2, 2)]
)
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize(
    "use", [lambda C: C, lambda C: C * 2, lambda C: tg.exp(C)], ids=["itself", "twice", "exp"]
)
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
            compare(
                backend,
                cell,
                [*parameters, x, *first],
                x,
                tuple(first),
                must_be_native=False,
                which=which,
                **options,
            )


LARGE = {
    "int32": [0, 1, -1, 2, 3, -3, 7, -7, 46341, 50000, -50000, 2**31 - 1, -(2**31), 2**31 - 2],
    "int64": [
        0,
        1,
        -1,
        3,
        -7,
        2**31,
        3000000019,
        2**53 + 1,
        -(2**53) - 1,
        2**63 - 1,
        -(2**63),
        2**62 + 5,
        6364136223846793005,
    ],
}
ELEMENTWISE = [
    row.name
    for row in rows.values()
    if row.elementwise and hasattr(tg, row.name) and row.name not in ("astype", "power")
]


@pytest.mark.parametrize("dtype", LARGE)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_integers_have_all_their_digits(name, dtype):
    """Every elementwise row of integers of any size: what NumPy makes of them, bit for bit where that is
    integers."""
    values, function = np.array(LARGE[dtype], dtype), getattr(tg, name)
    pairs = [x.ravel() for x in np.meshgrid(values, values)]
    taken = 0
    for operands in ([values], pairs, [values > 3, values, values[::-1].copy()]):
        try:
            with np.errstate(all="ignore"):
                expected = function(*map(tg.tensor, operands)).numpy()
        except (TypeError, tg.TinygradRNNError):  # it takes others
            continue
        taken += 1

        def cell(xs, h):
            return function(*xs), h

        y, _ = tg.scan(cell, [tg.tensor(x[None]) for x in operands], tg.zeros(len(expected)), compiled=True)
        assert y.dtype == expected.dtype
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(y.numpy()[0], expected, rtol=1e-14)
        else:
            np.testing.assert_array_equal(y.numpy()[0], expected)
    assert taken


NUMBERS = {
    "a generator": lambda h: (h * 6364136223 + 1442695040) % 2147483647,
    "squared": lambda h: h**2,
    "to the fifth": lambda h: h**5,
    "below more than it can be": lambda h: (
        (h.astype("int32") < 2**40).astype("int64") + (h.astype("int32") > -(2**31) - 1).astype("int64")
    ),
    "clipped beyond": lambda h: tg.clip(h, -(2**40), 2**40),
    "clipped beyond int32": lambda h: tg.clip(h.astype("int32"), -(2**40), 2**40).astype("int64"),
    "by nothing": lambda h: h // (h - h) + h % (h - h) + 1,
    "to the power of itself": lambda h: (h % 5) ** (h % 7),
}


@pytest.mark.both_backends
@pytest.mark.parametrize("name", NUMBERS)
def test_integers_and_numbers(name):
    def cell(x, h):
        h = NUMBERS[name](h) + x
        return h, h

    start = tg.tensor(np.array([3000000019, -5, 7, 2**31]))
    xs = tg.tensor(np.arange(24).reshape(6, 4))
    with np.errstate(all="ignore"):
        expected = [leaf.numpy() for leaf in tg.scan(cell, xs, start, compiled=False)]
        found = [leaf.numpy() for leaf in tg.scan(cell, xs, start)]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert "step by step" not in tg.explain(cell).splitlines()[0]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_what_is_broadcast_before_the_loop(batch, steps):
    W, s, g = numbers(H, H, grad=True), numbers(1, H, grad=True), numbers(H, grad=True)

    def cell(x, h):
        h = tg.tanh((x * s + g) @ W + h)
        return h, h

    xs = numbers(steps, batch, H, grad=True)
    compare("numpy", cell, [W, s, g, xs], xs, numbers(batch, H))


@pytest.mark.parametrize("compiled", [True, False])
def test_a_state_that_begins_as_a_number_has_the_shape_that_it_gets_now(compiled):
    class Cell:
        n = 4

        def __call__(self, x, h):
            h = h + x[: self.n]
            return h, h

    cell, xs = Cell(), tg.tensor(np.arange(16.0).reshape(2, 8))
    for n in (4, 1, 8, 4):
        cell.n = n
        _, h = tg.scan(cell, xs, 0, compiled=compiled)
        np.testing.assert_array_equal(h.numpy(), xs.numpy().sum(0)[:n])


@pytest.mark.parametrize("masked_output", ["zero", "previous"])
@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", "float32", "float64"])
def test_the_dtype_of_an_output_beyond_lengths(dtype, masked_output):
    def cell(x, h):
        return (h > x).astype(dtype), h + x

    xs, h = numbers(4, 3, 2), numbers(3, 2)
    made = [
        tg.scan(cell, xs, h, [4, 0, 2], compiled=c, masked_output=masked_output)[0] for c in (False, True)
    ]
    assert made[0].dtype == made[1].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(made[0].numpy(), made[1].numpy())
