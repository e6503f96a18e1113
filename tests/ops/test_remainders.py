"""Remainders and quotients of whole numbers are NumPy's, eager and in a cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.derived.exact import INF, NAN
from tinygrad_rnn import backends

FLOATS = st.floats(width=32) | st.sampled_from([0.0, -0.0, 5.0, -5.0, 0.1, 3.0, 1e17, 1e30, INF, -INF, NAN])


INTEGERS = st.integers(-(2**62), 2**62) | st.integers(-20, 20)


REMAINDERS = {
    "mod": (tg.mod, np.mod),
    "remainder": (tg.remainder, np.remainder),
    "%": (lambda a, b: a % b, np.mod),
    "fmod": (tg.fmod, np.fmod),
    "floor_divide": (tg.floor_divide, np.floor_divide),
    "//": (lambda a, b: a // b, np.floor_divide),
}


@pytest.mark.both_backends
@pytest.mark.parametrize("name", REMAINDERS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(a=FLOATS, b=FLOATS)
def test_remainders_of_floats_are_numpys(name, dtype, a, b):
    ours, theirs = REMAINDERS[name]
    a, b = np.array([a, 1.0], dtype), np.array([b, 0.1], dtype)
    if backends.current().name == "cupy":  # CuPy takes float32 numbers below the smallest normal one as 0
        a, b = (np.where(np.abs(x) < np.finfo("float32").tiny, 0, x).astype(dtype) for x in (a, b))
    with np.errstate(all="ignore"):
        found, expected = ours(tg.tensor(a), tg.tensor(b)).numpy(), theirs(a, b)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    known = ~np.isnan(expected)  # the sign of a NaN says nothing
    np.testing.assert_array_equal(np.signbit(found[known]), np.signbit(expected[known]))


@pytest.mark.both_backends
@pytest.mark.parametrize("name", REMAINDERS)
@given(a=INTEGERS, b=INTEGERS)
def test_remainders_of_whole_numbers_are_numpys(name, a, b):
    ours, theirs = REMAINDERS[name]
    with np.errstate(all="ignore"):
        found, expected = (
            ours(tg.tensor(np.array([a])), tg.tensor(np.array([b]))),
            theirs(np.array([a]), np.array([b])),
        )
    assert found.dtype == expected.dtype
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["mod", "fmod"])
def test_remainders_of_python_numbers(name):
    ours, theirs = REMAINDERS[name]
    for a, b in [(5.0, INF), (-5.0, INF), (1e17, 3.0), (1.0, 0.1), (-1.0, 0.1), (7, 3), (-7, 3), (7.5, 2)]:
        x, y = np.array(a), np.array(b)
        assert ours(tg.tensor(x), b).item() == theirs(x, b)
        assert ours(a, tg.tensor(y)).item() == theirs(a, y)


@pytest.mark.parametrize(
    ("name", "wholes"), [("mod", [2, 3, -4, 0, 0, -1, 9]), ("fmod", [2, 3, -3, 0, 0, 0, 9])]
)
def test_residuals_of_remainders(name, wholes):
    """a − n b with the whole n that was taken off: 1 and −n, also where the quotient is rounded to the next
    one."""
    a = tg.tensor(np.array([5.0, 7.5, -7.5, 1.0, 5.0, -1.0, 1.0]), requires_grad=True)
    b = tg.tensor(np.array([2.0, 2.25, 2.25, 3.0, INF, 4.0, 0.1]), requires_grad=True)
    tg.sum(REMAINDERS[name][0](a, b)).backward()
    assert a.grad.tolist() == [1] * 7
    assert b.grad.tolist() == [-n for n in wholes]


@pytest.mark.parametrize("name", ["mod", "fmod"])
@pytest.mark.parametrize("kind", ["int64", "int32", "float32", "float64"])
def test_a_compiled_cell_has_the_same_remainders(name, kind):
    """Also those of whole numbers, whose remainder by 0 is 0."""
    f, whole = REMAINDERS[name][0], not kind.startswith("f")
    x = np.random.default_rng(0).integers(-50, 50, (6, 4, 3)).astype(kind)
    period = np.array([3, -7, 0 if whole else 2.5]).astype(kind)
    h = tg.tensor(np.ones((4, 3), "float32" if whole else kind), requires_grad=True)
    n = tg.tensor(period)

    def cell(x, h):
        y = f(x, n)
        h = h * 0.5 + tg.tanh(y.astype(h.dtype))
        return y, h

    with np.errstate(all="ignore"):
        (ys, last), (found, end) = (
            tg.scan(cell, tg.tensor(x), h, compiled=compiled) for compiled in (False, True)
        )
        np.testing.assert_array_equal(ys.numpy(), REMAINDERS[name][1](x, period))
    assert found.dtype == ys.dtype
    np.testing.assert_array_equal(found.numpy(), ys.numpy())
    np.testing.assert_allclose(end.numpy(), last.numpy(), rtol=1e-6)
