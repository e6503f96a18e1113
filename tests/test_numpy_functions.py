"""NumPy's functions called with tensors: recorded, or refused."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.derived.calls import CALLS
from tinygrad_rnn import tree

pytestmark = pytest.mark.numpy_only

Tensor = tg.Tensor


def leaf(values: Any = (1.5, 0.5), **options: Any) -> Tensor:
    return tg.tensor(np.asarray(values, np.float64), requires_grad=True, **options)


NO_FUNCTIONS_OF_ARRAYS = re.findall(
    r"\w+",
    """
    test show_config show_runtime info get_include getbufsize setbufsize geterr seterr geterrcall seterrcall
    errstate set_printoptions get_printoptions printoptions load loadtxt genfromtxt fromfile fromregex memmap
    open_memmap save savez savez_compressed savetxt empty empty_like
    """,
)
"""Settings, what reads and writes files, and what returns memory as it is."""


ASK_FOR_NUMBERS = ["fromiter"]
"""They call ``float(t)``, which is how a user asks for a number."""


def _functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    for room, prefix in ((np, ""), (np.linalg, "linalg."), (np.fft, "fft.")):
        for name in sorted(room.__all__):
            function = getattr(room, name, None)
            if (
                callable(function)
                and not inspect.isclass(function)
                and name not in NO_FUNCTIONS_OF_ARRAYS + ASK_FOR_NUMBERS
            ):
                yield prefix + name, function


FUNCTIONS = dict(_functions())


POINT = (np.array([[2.1, 0.6], [0.3, 1.2]]), np.array([1.4, 0.7]), np.array(0.45))


DIRECTION = (np.array([[0.4, -0.9], [0.7, 0.5]]), np.array([-0.6, 0.8]), np.array(0.9))


def _arguments(m: Any, v: Any, n: Any) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Ways to call a function with a matrix, a vector and a number."""
    a = np.array([[2.0, 0.5], [0.25, 1.0]])
    mask = tg.tensor(a > 1) if isinstance(m, Tensor) else a > 1
    calls: list[tuple[Any, ...]] = [
        (m,),
        (v,),
        (n,),
        (m, m),
        (v, v),
        (m, n),
        (a, m),
        (m, a),
        (m, 1),
        (1, m),
        (n, 3),
        ([v, v],),
        ([m, a],),
    ]
    calls += [
        ((m, 1),),
        (m, m, m),
        (a > 1, m, 0.0),
        ([a > 1], [m]),
        (m, (0, 1)),
        ("ij,jk", m, m),
        (2, m),
        (m, 0, 1),
        (m, mask, 2),
    ]
    calls += [
        (lambda x: x, 0, m),
        (a, mask, m),
        (a, [0, 1], m),
        ((2, 2), n),
        (a, 0, n),
        (m, np.float64),
        (m, "float64"),
    ]
    return [(call, {}) for call in calls] + [((m,), {"axis": 0}), ((m,), {"out": a}), ((m, m), {"out": a})]


def _moved(step: float) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The same with arrays, at a place a step away."""
    return _arguments(*(x + step * d for x, d in zip(POINT, DIRECTION, strict=True)))


MOVE_IN_JUMPS = ("sign", "floor", "ceil", "rint", "trunc", "fix", "floor_divide", "round", "around", "divmod")


REFUSALS = (tg.TinygradRNNError, TypeError, ValueError, AttributeError, IndexError, KeyError)
"""Ours; or NumPy's own, before it looked at a value."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_function_of_numpy_takes_a_value_off_the_tape(name: str) -> None:
    """Called with two values of a recorded tensor, what differs is recorded itself, or no float."""
    at, beside = (_arguments(*(leaf(x * scale) for x in POINT)) for scale in (1.0, 1.07))
    for (args, keywords), (others, _) in zip(at, beside, strict=True):
        with np.errstate(all="ignore"):
            try:
                found, other = FUNCTIONS[name](*args, **keywords), FUNCTIONS[name](*others, **keywords)
            except REFUSALS:
                continue
        for x, y in zip(tree.leaves(found), tree.leaves(other), strict=False):
            recorded = isinstance(x, Tensor) and x.requires_grad
            if not recorded and _kind(x) in "fc" and name not in MOVE_IN_JUMPS:
                np.testing.assert_array_equal(
                    *(z.detach() if isinstance(z, Tensor) else z for z in (x, y)), err_msg=f"{name}{args}"
                )


def _kind(x: Any) -> str:
    return (
        x.dtype.kind
        if isinstance(x, (Tensor, np.ndarray, np.generic))
        else "f"
        if isinstance(x, (float, complex))
        else "O"
    )


def _slopes(name: str) -> Iterator[tuple[str, float, float]]:
    """For each of the calls that is recorded: the slope along DIRECTION that the tape gives, and NumPy's by
    central differences."""
    step = 1e-6
    for i in range(len(_moved(0.0))):
        calls = [_moved(way * step)[i] for way in (1, -1)]  # anew: some of NumPy's functions write
        leaves = [leaf(x) for x in POINT]
        args, keywords = _arguments(*leaves)[i]
        with np.errstate(all="ignore"):
            try:
                ends = [_weighed(FUNCTIONS[name](*args, **keywords)) for args, keywords in calls]
                found = FUNCTIONS[name](*args, **keywords)
            except (*REFUSALS, ZeroDivisionError):
                continue
            ys = [y for y in tree.leaves(found) if isinstance(y, Tensor) and y.requires_grad]
            if not ys or not np.isfinite(ends).all():
                continue
            sum(tg.sum(y * _weights(y.shape)) for y in ys).backward()
        slope = sum(
            float(np.sum(x.grad.numpy() * d))
            for x, d in zip(leaves, DIRECTION, strict=True)
            if x.grad is not None
        )
        yield f"{name}{args}{keywords}", slope, (ends[0] - ends[1]) / (2 * step)


def _weights(shape: tuple[int, ...]) -> np.ndarray:
    return np.cos(np.arange(math.prod(shape))).reshape(shape)


def _weighed(found: Any) -> float:
    return sum(float(np.sum(y * _weights(np.shape(y)))) for y in tree.leaves(found) if _kind(y) == "f")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_recorded_has_the_slope_of_numpys_function(name: str) -> None:
    for call, slope, expected in _slopes(name):
        assert slope == pytest.approx(expected, rel=1e-6, abs=1e-7), call


@pytest.mark.filterwarnings("ignore")
def test_most_functions_of_the_library_are_recorded_there() -> None:
    assert sum(any(True for _ in _slopes(name)) for name in FUNCTIONS) > 100


@pytest.mark.parametrize("label", [label for label in CALLS if not label.startswith("norm 0 ")])
def test_what_numpy_is_called_with_is_recorded(label: str) -> None:
    """The same calls as of ``tg``, with the same values as NumPy's and the same gradients."""
    arrays, f = CALLS[label]
    expected = f(np, *arrays)
    gradients = []
    for module in (np, tg):
        xs = [tg.tensor(x, requires_grad=True) for x in arrays]
        found = f(module, *xs)
        for y, value in zip(tree.leaves(found), tree.leaves(expected), strict=True):
            assert isinstance(y, Tensor)
            assert y.requires_grad
            np.testing.assert_allclose(y.numpy(), value, rtol=1e-12, atol=1e-13)
        sum(tg.sum(y * y) for y in tree.leaves(found)).backward()
        gradients.append([x.grad.numpy() for x in xs])
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_both_results_of_divmod_are_numpys_for_either_sign() -> None:
    a, b = np.array([-7.5, 7.5, -7.5, 7.5]), np.array([2.0, -2.0, -2.0, 2.0])
    for ours, theirs in zip(np.divmod(tg.tensor(a), tg.tensor(b)), np.divmod(a, b), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs)


def test_arguments_are_numpys() -> None:
    x = leaf([[1.0, 2.0], [3.0, 5.0]])
    assert np.sum(x, 0, None, None, True).shape == (1, 2)
    assert np.sum(a=x, axis=-1).tolist() == [3.0, 8.0]
    assert np.mean(x, axis=0, keepdims=True).shape == (1, 2)
    assert np.std(x, ddof=1).item() == pytest.approx(np.std(x.numpy(), ddof=1))
    assert np.clip(x, None, 2.5).tolist() == [[1.0, 2.0], [2.5, 2.5]]
    assert np.reshape(x, (4,)).shape == (4,)
    assert np.where(x > 2, x, 0.0).tolist() == [[0.0, 0.0], [3.0, 5.0]]
    assert np.concatenate([x.numpy(), x], axis=1).shape == (2, 4)
    assert np.einsum("ij->j", x).tolist() == [4.0, 7.0]
    assert (np.shape(x), np.ndim(x), np.size(x), np.size(x, 0), np.result_type(x, np.float32)) == (
        (2, 2),
        2,
        4,
        2,
        np.float64,
    )
    assert np.array_equal(x, x.numpy())
    assert np.allclose(x, x.numpy() + 1e-9)
    assert np.argmax(x) == 3
    assert np.isfinite(x).all()


LACKING: dict[str, Callable[[Tensor, np.ndarray], Any]] = {
    "where": lambda t, a: np.sum(t, where=a > 1),
    "initial": lambda t, a: np.max(t, initial=0.0),
    "dtype": lambda t, a: np.exp(t, dtype="float32"),
    "out": lambda t, a: np.exp(t, out=a),
    "positional dtype": lambda t, a: np.mean(t, 0, np.float32),
    "casting": lambda t, a: np.add(t, a, casting="unsafe"),
}


@pytest.mark.parametrize("call", LACKING.values(), ids=LACKING)
def test_an_argument_that_the_library_lacks(call: Callable[[Tensor, np.ndarray], Any]) -> None:
    t, a = leaf(), np.array([1.0, 2.0])
    with pytest.raises(tg.TapeError, match=r"np\.\w+ .*tg\.\w+.*\.numpy\(\)"):
        call(t, a)
    assert a.tolist() == [1.0, 2.0]
    found, expected = call(t.detach(), a.copy()), call(t.numpy(), a.copy())  # type: ignore[arg-type]
    assert isinstance(found, (np.ndarray, np.generic))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda t: np.linalg.pinv(tg.outer(t, t)), r"linalg\.pinv.*tg\.linalg\.inv"),
        (lambda t: np.add.reduce(t), r"tg\.sum"),
        (lambda t: np.multiply.accumulate(t), r"tg\.cumprod"),
        (lambda t: np.fft.rfft(t), r"no function rfft"),
        (lambda t: np.histogram(t), r"no function histogram"),
        (lambda t: np.frompyfunc(math.gamma, 1, 1)(t), r"no function"),
        (lambda t: np.asarray(t), r"tg\.tanh\(t\)"),
        (lambda t: np.mean([t, t]), r"tg\.stack"),
    ],
)
def test_the_error_says_what_to_write(call: Callable[[Tensor], Any], advice: str) -> None:
    with pytest.raises(tg.TapeError, match=advice) as caught:
        call(leaf())
    assert ".numpy()" in str(caught.value)
    assert ".detach()" in str(caught.value)


def test_without_a_gradient_numpy_gets_the_values() -> None:
    x = tg.tensor(np.array([[2.0, 1.0], [1.0, 3.0]]))
    np.testing.assert_array_equal(np.linalg.eigvalsh(x), np.linalg.eigvalsh(x.numpy()))
    np.testing.assert_array_equal(np.fft.fft(x), np.fft.fft(x.numpy()))
    np.testing.assert_array_equal(np.add.reduce(x), [3.0, 4.0])
    np.testing.assert_array_equal(np.bitwise_and(tg.tensor(6), np.array(3)), 2)
    t = leaf()
    with tg.no_grad():
        assert np.asarray(t).tolist() == [1.5, 0.5]
        assert np.linalg.eigvalsh(tg.outer(t, t)).shape == (2,)
    assert np.exp(x).backend == "numpy"
    assert isinstance(np.concatenate([x, x]), Tensor)


def test_booleans_of_arrays() -> None:
    t = leaf([1.0, -2.0])
    mask = np.array([True, True])
    assert (mask & (t > 0)).tolist() == (mask & (t.numpy() > 0)).tolist()
    assert (mask | (t > 0)).tolist() == [True, True]
    assert (mask ^ (t > 0)).tolist() == [False, True]
    assert (~(t > 0)).tolist() == np.invert(t > 0).tolist() == [False, True]


@pytest.mark.parametrize("numbers", [[5, 6], [5.0, 6.0]])
def test_signs_of_booleans_are_no_truths_of_numbers(numbers) -> None:
    """NumPy's are the bits of whole numbers: 5 & 3 is 1."""
    x, truth = tg.tensor(numbers), tg.tensor([True, False])
    for call in (
        lambda: x & 3,
        lambda: 3 & x,
        lambda: truth | x,
        lambda: x ^ truth,
        lambda: ~x,
        lambda: truth & np.array(numbers),
    ):
        with pytest.raises(tg.DtypeError, match=r"is for booleans, not \w+: compare before"):
            call()
    assert (truth & True).tolist() == (True & truth).tolist() == [True, False]


@pytest.mark.both_backends
def test_numpys_functions_in_a_cell(backend: str, rng: np.random.Generator) -> None:
    """The same gradients as with the library's own names, compiled and step by step."""
    W = tg.tensor(rng.normal(0, 0.5, (5, 3)), requires_grad=True)
    x, h0 = tg.tensor(rng.normal(size=(4, 2, 2))), tg.zeros((2, 3), "float64")

    def cell(module: Any) -> Callable[[Any, Any], Any]:
        def step(x: Any, h: Any) -> Any:
            h = module.tanh(module.concatenate([x, h], -1) @ W)
            return h, h

        return step

    found = []
    for module in (np, tg):
        for compiled in (True, False):
            W.grad = None
            ys, _ = tg.scan(cell(module), x, h0, compiled=compiled)
            tg.sum(ys * ys).backward()
            found.append(W.grad.numpy())
    for gradient in found[:-1]:
        np.testing.assert_allclose(gradient, found[-1], rtol=1e-12)
