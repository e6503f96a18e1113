"""NumPy's results over all axes, at infinities and for small whole numbers; and losses that cannot wrap
around or be stretched."""

from __future__ import annotations

import inspect
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg

INF, NAN = math.inf, math.nan
X = np.random.default_rng(0).normal(size=(3, 4, 2))
Q = np.array([0.1, 0.5, 1.0])

# -- axes ----------------------------------------------------------------------------------------------------


def along(axis, ndim=3):
    """The place of a vector along an axis."""
    return [-1 if i == axis % ndim else 1 for i in range(ndim)]


def both(name):
    return lambda np, x, **kwargs: getattr(np, name)(x, **kwargs)


_SINGLE = [
    "diff",
    "cumsum",
    "cumprod",
    "sort",
    "argsort",
    "argmax",
    "argmin",
    "flip",
    "ptp",
    "median",
    "unstack",
]
_REDUCTIONS = [
    "sum",
    "mean",
    "prod",
    "std",
    "var",
    "max",
    "min",
    "all",
    "any",
    "nansum",
    "nanmean",
    "nanmax",
    "nanmin",
    "count_nonzero",
]
ONE_AXIS = {
    **{name: both(name) for name in _SINGLE},
    **{name: both(name) for name in _REDUCTIONS},
    "diff twice": lambda np, x, axis: np.diff(x, 2, axis),
    "quantile": lambda np, x, axis: np.quantile(x, Q, axis=axis),
    "percentile": lambda np, x, axis: np.percentile(x, 100 * Q, axis=axis),
    "roll": lambda np, x, axis: np.roll(x, 1, axis),
    "take": lambda np, x, axis: np.take(x, [1, 0, -1], axis),
    "take_along_axis": lambda np, x, axis: np.take_along_axis(x, np.argsort(x, axis), axis),
    "repeat": lambda np, x, axis: np.repeat(x, 2, axis),
    "delete": lambda np, x, axis: np.delete(x, 1, axis),
    "append": lambda np, x, axis: np.append(x, x, axis),
    "concatenate": lambda np, x, axis: np.concatenate([x, x], axis),
    "stack": lambda np, x, axis: np.stack([x, 2 * x], axis),
    "array_split": lambda np, x, axis: np.array_split(x, 2, axis),
    "expand_dims": lambda np, x, axis: np.expand_dims(x, axis),
    "squeeze": lambda np, x, axis: np.squeeze(np.expand_dims(x, axis), axis),
    "average": lambda np, x, axis: np.average(x, axis, np.arange(1.0, x.shape[axis] + 1)),
    "average of all weights": lambda np, x, axis: np.average(x, axis, x * x + 1),
    "trapezoid": lambda np, x, axis: np.trapezoid(x, axis=axis),
    "trapezoid of widths": lambda np, x, axis: np.trapezoid(x, dx=0.5, axis=axis),
    "trapezoid of a vector": lambda np, x, axis: np.trapezoid(x, np.arange(x.shape[axis]) ** 2.0, axis=axis),
    "trapezoid of places": lambda np, x, axis: np.trapezoid(x, np.cumsum(x * x, axis), axis=axis),
    "trapezoid of a column": lambda np, x, axis: np.trapezoid(
        x, np.reshape(np.arange(x.shape[axis]) ** 2.0, along(axis)), axis=axis
    ),
    "norm": lambda np, x, axis: np.linalg.norm(x, axis=axis),
    "norm of order 1": lambda np, x, axis: np.linalg.norm(x, 1, axis),
}
TWO_AXES = {
    "swapaxes": lambda np, x, a, b: np.swapaxes(x, a, b),
    "moveaxis": lambda np, x, a, b: np.moveaxis(x, a, b),
    "rot90": lambda np, x, a, b: np.rot90(x, 1, (a, b)),
    "diagonal": lambda np, x, a, b: np.diagonal(x, 1, a, b),
    "trace": lambda np, x, a, b: np.trace(x, 0, a, b),
    "tensordot": lambda np, x, a, b: np.tensordot(x, x, ([a, b], [a, b])),
    "sum": lambda np, x, a, b: np.sum(x, (a, b)),
    "median": lambda np, x, a, b: np.median(x, (a, b)),
    "quantile": lambda np, x, a, b: np.quantile(x, Q, (a, b), keepdims=True),
    "flip": lambda np, x, a, b: np.flip(x, (a, b)),
    "roll": lambda np, x, a, b: np.roll(x, (1, 2), (a, b)),
    "norm": lambda np, x, a, b: np.linalg.norm(x, axis=(a, b)),
    "norm of order inf": lambda np, x, a, b: np.linalg.norm(x, math.inf, axis=(a, b)),
}


def equal(found, expected):
    assert isinstance(found, (list, tuple)) == isinstance(expected, (list, tuple))
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            equal(one, other)
        return
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("axis", range(-3, 3))
@pytest.mark.parametrize("name", ONE_AXIS)
def test_every_axis_is_numpys(name, axis):
    equal(ONE_AXIS[name](tg, tg.tensor(X), axis=axis), ONE_AXIS[name](np, X, axis=axis))


@pytest.mark.parametrize(
    ("first", "second"), [(a, b) for a, b in itertools.product(range(-3, 3), repeat=2) if a % 3 != b % 3]
)
@pytest.mark.parametrize("name", TWO_AXES)
def test_every_two_axes_are_numpys(name, first, second):
    equal(TWO_AXES[name](tg, tg.tensor(X), first, second), TWO_AXES[name](np, X, first, second))


def test_every_function_with_an_axis_is_tried():
    """But those whose result for an axis is that of a formula over it, which tests of their own have."""
    with_axis = {
        name
        for name in tg.__dict__
        if callable(getattr(tg, name)) and "axis" in _parameters(getattr(tg, name))
    }
    tried = {name.split()[0] for name in (*ONE_AXIS, *TWO_AXES)}
    formulas = {
        "cross",
        "cross_entropy",
        "nll_loss",
        "softmax",
        "log_softmax",
        "logsumexp",
        "split",
        "amax",
        "amin",
        "concat",
    }
    assert with_axis - tried == formulas


def _parameters(function):
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def test_trapezoids_over_an_axis_have_the_slope_of_their_sum():
    y, x = np.cumsum(np.abs(X), 0), np.cumsum(np.abs(X) + 0.1, 0)
    tg.check_gradients(lambda y, x: tg.trapezoid(y, x, axis=0), tg.tensor(y), tg.tensor(x))


# -- infinities ----------------------------------------------------------------------------------------------

VALUES = st.sampled_from([-INF, -2.0, 0.0, 1.0, 3.0, INF])


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_the_median_of_infinities(values):
    x = np.array(values)
    with np.errstate(all="ignore"):
        expected = np.median(x)
        found = tg.median(tg.tensor(x)).item()
    np.testing.assert_equal(found, float(expected))


@given(st.lists(VALUES, min_size=1, max_size=6), st.floats(0, 1))
def test_between_infinities(values, share):
    """On the line between two neighbours: NumPy's NaN where it subtracts infinities is the infinity that both
    sides have, or one."""
    place = share * (len(values) - 1)
    low, high = (sorted(values)[whole(place)] for whole in (math.floor, math.ceil))
    with np.errstate(all="ignore"):
        found = tg.quantile(tg.tensor(np.array(values)), share).item()
        numpys = np.quantile(np.array(values), share)
    if math.isinf(low) or math.isinf(high):
        np.testing.assert_equal(found, low + high)
    else:
        np.testing.assert_allclose(
            found, low + (high - low) * (place - math.floor(place)), rtol=1e-12, atol=1e-12
        )
    assert np.isnan(numpys) or found == pytest.approx(float(numpys), abs=1e-12)


def test_a_median_of_infinities_sends_finite_residuals():
    for values in ([INF, INF, 1.0], [INF, INF], [1.0, INF], [2.0, 2.0]):
        x = tg.tensor(np.array(values), requires_grad=True)
        tg.median(x).backward()
        assert tg.sum(x.grad).item() == 1


@given(
    st.lists(
        st.tuples(st.sampled_from([-INF, -1.0, 0.0, 0.5, 2.0, INF]), VALUES | st.just(NAN)),
        min_size=1,
        max_size=5,
        unique_by=lambda p: p[0],
    ),
    st.lists(VALUES | st.sampled_from([-0.5, 0.25, 5.0, NAN]), min_size=1, max_size=5),
)
def test_interpolation_is_numpys(points, xs):
    xp, fp = map(np.array, zip(*sorted(points, key=lambda point: point[0]), strict=True))
    x = np.array(xs)
    expected = np.interp(x, xp, fp)
    if len(xp) == 1:
        # NumPy's is the point there, and NaN where there are several
        expected = np.where(np.isnan(x), NAN, expected)
    np.testing.assert_allclose(
        tg.interp(tg.tensor(x), tg.tensor(xp), tg.tensor(fp)).numpy(), expected, rtol=1e-12
    )


def test_the_slope_of_a_line_between_points():
    xp, fp = tg.tensor(np.array([0.0, 1.0, 3.0])), tg.tensor(np.array([1.0, 3.0, -1.0]))
    x = tg.tensor(np.array([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0]), requires_grad=True)
    tg.sum(tg.interp(x, xp, fp)).backward()
    assert x.grad.tolist() == [0, 2, 2, -2, -2, -2, 0]


# -- two dtypes ----------------------------------------------------------------------------------------------


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


# -- small whole numbers -------------------------------------------------------------------------------------

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


# -- losses --------------------------------------------------------------------------------------------------

LOSSES = {
    "l1_loss": lambda a, b: np.abs(a - b),
    "mse_loss": lambda a, b: (a - b) ** 2,
    "huber_loss": lambda a, b: np.where(np.abs(a - b) <= 1, 0.5 * (a - b) ** 2, np.abs(a - b) - 0.5),
}


@pytest.mark.parametrize("second", ["uint8", "int8", "int64", "bool", "float32", "float64"])
@pytest.mark.parametrize("first", ["uint8", "int8", "int64", "bool", "float32", "float64"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_whole_numbers_do_not_wrap_around(name, first, second):
    a, b = np.array([1, 0, 120, 1]).astype(first), np.array([3, 1, 100, 0]).astype(second)
    found = getattr(tg, name)(tg.tensor(a), tg.tensor(b), reduction="none")
    assert found.dtype.kind == "f"
    np.testing.assert_allclose(found.numpy(), LOSSES[name](a.astype(float), b.astype(float)))


def test_the_negative_of_an_unsigned_logarithm():
    assert tg.nll_loss(tg.tensor([[3, 0]], "uint8"), tg.tensor([0])).item() == -3


def test_weights_without_a_sum_have_no_mean():
    for weights, axis in (([1.0, -1.0], None), ([[0.0, 0.0], [1.0, 1.0]], 1), ([0, 0], 0)):
        x = np.ones(np.shape(weights))
        with pytest.raises(ZeroDivisionError):
            np.average(x, axis, weights)
        if tg.zeros(1).backend == "numpy":
            with pytest.raises(tg.ArgumentError, match="average: the weights add up to 0"):
                tg.average(tg.tensor(x), axis, weights)
        else:  # a device would have to be waited for
            assert not np.isfinite(tg.average(tg.tensor(x), axis, weights).numpy()).all()


def test_weights_of_positives_do_not_stretch_a_loss():
    z, y = tg.zeros((2, 3)), tg.ones((2, 3))
    for fits in (2.0, tg.ones(3), tg.ones((2, 1)), tg.ones((2, 3)), tg.tensor([2], "uint8")):
        assert tg.bce_with_logits(z, y, "none", pos_weight=fits).shape == (2, 3)
    for larger in (tg.ones((4, 2, 3)), tg.ones((1, 2, 3)), tg.ones(2)):
        with pytest.raises(tg.ShapeError, match="bce_with_logits: pos_weight"):
            tg.bce_with_logits(z, y, "none", pos_weight=larger)
    with pytest.raises(tg.ShapeError, match="bce_with_logits: pos_weight"):
        tg.bce_with_logits(tg.zeros((2, 1)), tg.ones((2, 1)), pos_weight=tg.ones(3))
    found = tg.bce_with_logits(z, y, "none", pos_weight=tg.tensor([0], "uint8"))  # 0 − 1 would be 255
    np.testing.assert_array_equal(found.numpy(), np.zeros((2, 3)))


def test_no_class_is_left_out_of_probabilities():
    with pytest.raises(tg.ArgumentError, match="ignore_index"):
        tg.cross_entropy(tg.zeros((2, 3)), tg.ones((2, 3)), ignore_index=0)
    with pytest.raises(tg.ArgumentError, match="ignore_index"):
        tg.cross_entropy(tg.zeros((2, 3), "float16"), tg.ones((2, 3), "float16"), ignore_index=-100)


# -- remainders ----------------------------------------------------------------------------------------------

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


@pytest.mark.parametrize("name", REMAINDERS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(a=FLOATS, b=FLOATS)
def test_remainders_of_floats_are_numpys(name, dtype, a, b):
    ours, theirs = REMAINDERS[name]
    a, b = np.array([a, 1.0], dtype), np.array([b, 0.1], dtype)
    with np.errstate(all="ignore"):
        found, expected = ours(tg.tensor(a), tg.tensor(b)).numpy(), theirs(a, b)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    known = ~np.isnan(expected)  # the sign of a NaN says nothing
    np.testing.assert_array_equal(np.signbit(found[known]), np.signbit(expected[known]))


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
