"""Dtypes of mixed operands: NumPy's, and what float16 can hold."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import linalg

DTYPES = ["bool", "int8", "int32", "int64", "uint8", "float16", "float32", "float64"]


@pytest.mark.both_backends
@pytest.mark.parametrize(
    "name", ["add", "multiply", "maximum", "divide", "power", "hypot", "floor_divide", "mod"]
)
def test_mixed_dtypes_promote_as_in_numpy(name):
    for first, second in itertools.product(DTYPES, DTYPES):
        if name in ("power", "floor_divide", "mod") and "bool" in (first, second):
            continue
        a, b = np.array([1, 1], first), np.array([1, 1], second)
        assert getattr(tg, name)(tg.tensor(a), tg.tensor(b)).dtype == getattr(np, name)(a, b).dtype, (
            first,
            second,
        )


@pytest.mark.parametrize(
    "name",
    [
        "exp",
        "sqrt",
        "sin",
        "tanh",
        "abs",
        "negative",
        "sum",
        "prod",
        "mean",
        "var",
        "cumsum",
        "max",
        "cumprod",
    ],
)
def test_one_dtype_gives_numpys(name):
    for dtype in DTYPES:
        x = np.array([1, 1], dtype)
        if dtype == "bool" and name == "negative":
            continue
        expected = getattr(np, name)(x)
        found = getattr(tg, name)(tg.tensor(x))
        assert found.dtype == expected.dtype, dtype
        np.testing.assert_allclose(
            found.numpy(), expected, rtol=2e-3 if dtype in ("float16", "int8", "uint8", "bool") else 1e-6
        )


@pytest.mark.parametrize("number", [2, 2.5, True, -1])
def test_python_numbers_never_widen(number):
    x = np.array([1.5, 2.5], np.float32)
    t = tg.tensor(x, requires_grad=True)
    for f in (
        lambda x: x + number, lambda x: number - x, lambda x: x * number, lambda x: number / x,
        lambda x: x / number, lambda x: x**number,
        lambda x: abs(number) ** x, lambda x: x // number, lambda x: x % number,
    ):  # fmt: skip
        expected = f(x)
        assert expected.dtype == np.float32
        assert f(t).dtype == np.float32
        np.testing.assert_allclose(f(t).numpy(), expected, rtol=1e-6)
        if f(t).requires_grad:
            assert tg.gradients(f(t).sum(), t).dtype == np.float32
    for f in (tg.maximum, tg.minimum, tg.arctan2, tg.hypot, tg.logaddexp):
        y = f(t, number)
        assert y.dtype == np.float32
        assert tg.gradients(y.sum(), t).dtype == np.float32
        assert tg.jvp(lambda x, f=f: f(x, number), t.detach(), t.detach())[1].dtype == np.float32


def test_residuals_take_the_dtype_of_their_tensor():
    a = tg.tensor(np.ones(2, np.float32), requires_grad=True)
    b = tg.tensor(np.ones(2, np.float64), requires_grad=True)
    assert (a * b).dtype == np.float64
    (a * b).sum().backward()
    assert (a.grad.dtype, b.grad.dtype) == (np.float32, np.float64)
    n = tg.tensor(np.arange(2))
    assert (a * n).dtype == np.float64
    assert tg.gradients((a * n).sum(), a).dtype == np.float32


@pytest.mark.both_backends
def test_whole_numbers():
    x = tg.tensor(np.array([7, -7, 5]))
    for f in (
        lambda x: x // 2,
        lambda x: x % 3,
        lambda x: x + 1,
        lambda x: -x,
        lambda x: x / 2,
        lambda x: x**2,
        lambda x: 20 // x,
        lambda x: 20 % x,
    ):
        expected = f(x.numpy())
        assert f(x).dtype == expected.dtype
        np.testing.assert_array_equal(f(x).numpy(), expected)
    assert tg.sum(tg.tensor(np.ones(3, bool))).dtype == np.int64
    assert tg.sum(tg.tensor(np.ones(3, np.float32)), dtype=np.float64).dtype == np.float64


def test_python_lists_have_the_default_dtype():
    assert tg.exp([1.0, 2.0]).dtype == np.float32
    assert tg.sum([1, 2]).dtype == np.int64


def half(*values):
    return tg.tensor(np.array(values), "float16", requires_grad=True)


@pytest.mark.both_backends
@pytest.mark.parametrize(
    ("f", "g"),
    [
        (tg.mean, np.mean),
        (lambda x: x.mean(), np.mean),
        (tg.std, np.std),
        (linalg.norm, np.linalg.norm),
        (lambda x: tg.var(x * 0.01), lambda x: np.var(x * 0.01)),
        (tg.logsumexp, lambda x: x.max() + np.log(np.exp(x - x.max()).sum())),
        (lambda x: tg.mse_loss(x * 0.01, x * 0), lambda x: np.mean((x * 0.01) ** 2)),
        (
            lambda x: tg.cross_entropy(x[None], [0]),
            lambda x: np.log(np.exp(x - x.max()).sum()) + x.max() - x[0],
        ),
    ],
)
def test_what_float16_holds_it_gets(f, g):
    """Sums and squares on the way are larger than its largest number, 65,504; the result is not."""
    values = np.array([300.0, -400.0, 6000.0, 6000.0] + [6000.0] * 100).astype(np.float16)
    x = tg.tensor(values, requires_grad=True)
    y = f(x)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.numpy().astype(float), g(values.astype(float)), rtol=2e-3)
    y.backward()
    assert x.grad.dtype == np.float16
    assert np.isfinite(x.grad.numpy()).all()


def test_softmax_of_more_classes_than_float16_can_count():
    x = tg.tensor(np.zeros(70_000), "float16")
    np.testing.assert_allclose(tg.softmax(x).numpy().astype(float), 1 / 70_000, rtol=0.01)
    np.testing.assert_allclose(tg.log_softmax(x).numpy().astype(float), -np.log(70_000), rtol=1e-3)
    np.testing.assert_allclose(tg.cross_entropy(x[None], [5]).item(), np.log(70_000), rtol=1e-3)


def test_whole_numbers_are_rounded_before_the_point():
    assert (
        tg.round(tg.tensor([14, 15, 25, -15]), -1).numpy().tolist()
        == np.round(np.array([14, 15, 25, -15]), -1).tolist()
    )


@pytest.mark.parametrize("second", ["float16", "float32", "float64", "int64", "uint8"])
@pytest.mark.parametrize("first", ["float16", "float32", "float64", "int64", "uint8"])
@pytest.mark.parametrize("of", ["tensors", "a tensor and an array", "an array and a tensor"])
def test_a_quotient_of_two_dtypes_is_as_exact_as_numpys(first, second, of):
    a, b = np.array([1, 2, 5]).astype(first), np.array([3, 7, 9]).astype(second)
    expected = a / b
    if of != "tensors" and tg.zeros(1).backend != "numpy":
        with pytest.raises(tg.BackendError):
            a / tg.tensor(b)
        return
    x = a if of.startswith("an array") else tg.tensor(a)
    found = tg.divide(x, b if of.endswith("an array") else tg.tensor(b))
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found.numpy(), expected, rtol=2 * np.finfo(expected.dtype).eps)


OPERATIONS = {
    "add": lambda np, x, y: np.add(x, y),
    "multiply": lambda np, x, y: np.multiply(y, x),
    "operator": lambda np, x, y: x * y,
    "operator from the right": lambda np, x, y: y - x,
    "divide": lambda np, x, y: np.divide(x, y),
    "power": lambda np, x, y: np.power(x, y),
    "maximum": lambda np, x, y: np.maximum(x, y),
    "mod": lambda np, x, y: np.mod(x, y),
    "fmax": lambda np, x, y: np.fmax(x, y),
    "matmul": lambda np, x, y: np.matmul(x, y),
    "dot": lambda np, x, y: np.dot(y, x),
    "vecdot": lambda np, x, y: np.vecdot(x, y),
    "outer": lambda np, x, y: np.outer(x, y),
    "einsum": lambda np, x, y: np.einsum("i,i", x, y),
    "concatenate": lambda np, x, y: np.concatenate([x, y]),
    "stack": lambda np, x, y: np.stack([x, y]),
    "where": lambda np, x, y: np.where(np.greater(x, 1), x, y),
    "average": lambda np, x, y: np.average(x, None, y),
    "interp": lambda np, x, y: np.interp(y, x, x),
    "isclose": lambda np, x, y: np.isclose(x, y, 0.0, 1e-12),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_python_floats_in_a_list_take_the_dtype_that_they_meet(name, dtype):
    """As a single one does: none is rounded to the default dtype first, and none widens the other."""
    x, numbers = np.array([0.7, 1.9], dtype), [0.7, 0.3]
    expected = OPERATIONS[name](np, x, np.array(numbers, dtype))
    found = OPERATIONS[name](tg, tg.tensor(x), numbers)
    assert found.dtype == np.asarray(expected).dtype or name == "interp"
    rtol = 4 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(found.numpy().astype(float), np.asarray(expected, float), rtol=rtol, atol=rtol)


SUMS = {
    **{f"einsum {s}": lambda np, x, s=s: np.einsum(s, x) for s in ("ijk->", "ijk->i", "ijk->kj", "ijk->ijk")},
    **{
        f"einsum {s}": lambda np, x, s=s: np.einsum(s, x, x)
        for s in ("ijk,ijk->", "ijk,ijk->k", "ijk,ljk->il")
    },
    "einsum of a diagonal": lambda np, x: np.einsum("ii->", x[:2, :2, 0]),
    "einsum of a stretched axis": lambda np, x: np.einsum("ijk,ilk->k", x[:, :1], x),
    "vecdot": lambda np, x: np.vecdot(x, x),
    "vdot": lambda np, x: np.vdot(x, x),
    "inner": lambda np, x: np.inner(x, x),
    "dot": lambda np, x: np.dot(x, np.swapaxes(x, 1, 2)),
    "tensordot": lambda np, x: np.tensordot(x, x, ([0, 1], [0, 1])),
    "sum": lambda np, x: np.sum(x, 0),
    "trace": lambda np, x: np.trace(x),
    "convolve": lambda np, x: np.convolve(x[:, 0, 0], x[:, 1, 0]),
    "outer": lambda np, x: np.outer(x, x),
}


@pytest.mark.parametrize("kind", ["uint8", "int8", "int16", "uint32", "int64", "bool", "float32"])
@pytest.mark.parametrize("name", SUMS)
def test_sums_of_products_have_numpys_dtype(name, kind):
    x = (np.arange(24).reshape(3, 4, 2) * 11 % 256).astype("uint8").astype(kind)
    expected, found = SUMS[name](np, x), SUMS[name](tg, tg.tensor(x))
    assert found.dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
