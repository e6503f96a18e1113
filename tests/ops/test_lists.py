"""A list or tuple of tensors is their stack wherever an array is accepted, and the tape holds all of them."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import derived, linalg, nn, ops, tree

Tensor = tg.Tensor

PUBLIC = {
    **{name: getattr(room, name) for room in (*ops.ROOMS, *derived.ROOMS) for name in room.__all__},
    **{f"linalg.{name}": getattr(linalg, name) for name in linalg.__all__},
}
NOT_OF_ARRAYS = {"arange", "eye", "full", "identity", "linspace", "ones", "zeros"}
ROWS = 3
PLACES = [[0, 2, 1], [1, 1, 0], [2, 0, 0]]

PATTERNS: dict[str, Callable[[Any, Any], Any]] = {
    "astype": lambda f, x: f(x, "float32"),
    "broadcast_to": lambda f, x: f(x, (2, ROWS, ROWS)),
    "concatenate": lambda f, x: f([x, x], 1),
    "concat": lambda f, x: f([x, x]),
    "stack": lambda f, x: f([x, x], 1),
    "vstack": lambda f, x: f([x, x]),
    "hstack": lambda f, x: f([x, x]),
    "dstack": lambda f, x: f([x, x]),
    "column_stack": lambda f, x: f([x, x]),
    "convolve": lambda f, x: f(tg.ravel(x), [0.5, 2.0]),
    "cross_entropy": lambda f, x: f(x, [0, 2, 1]),
    "nll_loss": lambda f, x: f(x, [0, 2, 1]),
    "einsum": lambda f, x: f("ij,jk->ik", x, x),
    "expand_dims": lambda f, x: f(x, 0),
    "full_like": lambda f, x: f(x, 2.0),
    "interp": lambda f, x: f(x, [0.0, 0.5, 1.0], [1.0, 2.0, 0.0]),
    "matrix_power": lambda f, x: f(x, 2),
    "linalg.matrix_power": lambda f, x: f(x, 2),
    "moveaxis": lambda f, x: f(x, 0, 1),
    "one_hot": lambda f, x: f(tg.argsort(x), 3),
    "pad": lambda f, x: f(x, 1),
    "percentile": lambda f, x: f(x, 30.0),
    "quantile": lambda f, x: f(x, 0.3),
    "repeat": lambda f, x: f(x, 2, 0),
    "reshape": lambda f, x: f(x, (9,)),
    "roll": lambda f, x: f(x, 1, 0),
    "searchsorted": lambda f, x: f([0.0, 0.5, 1.0], x),
    "select": lambda f, x: f([np.eye(ROWS, dtype=bool).tolist()], [x], 0.5),
    "split": lambda f, x: f(x, 3),
    "array_split": lambda f, x: f(x, 2),
    "hsplit": lambda f, x: f(x, 3),
    "vsplit": lambda f, x: f(x, 3),
    "swapaxes": lambda f, x: f(x, 0, 1),
    "take": lambda f, x: f(x, [0, 2], 0),
    "take_along_axis": lambda f, x: f(x, PLACES, 1),
    "delete": lambda f, x: f(x, 1, 0),
    "tile": lambda f, x: f(x, 2),
    "where": lambda f, x: f(np.eye(ROWS, dtype=bool).tolist(), x, 0.5),
    "meshgrid": lambda f, x: f(tg.ravel(x), [1.0, 2.0]),
    "unstack": lambda f, x: f(x, 1),
    "append": lambda f, x: f(x, x),
}
"""How a function is called where it takes more than arrays of one shape."""


def _call(name: str, x: Any) -> Any:
    if name in PATTERNS:
        return PATTERNS[name](PUBLIC[name], x)
    try:
        return PUBLIC[name](x)
    except TypeError:
        return PUBLIC[name](x, x)


def _as_stack(rows: Sequence[Tensor]) -> Any:
    return tg.stack(rows)


def _as_rows(rows: Sequence[Tensor]) -> Any:
    return list(rows)


def _as_numbers(rows: Sequence[Tensor]) -> Any:
    return tuple([list(row) for row in rows])


def _with_constants(rows: Sequence[Tensor]) -> Any:
    """The last row off the tape, its elements as Python numbers."""
    return [rows[0], list(rows[1]), rows[2].tolist()]


@pytest.mark.parametrize("name", [name for name in PUBLIC if name not in NOT_OF_ARRAYS])
def test_every_function_takes_a_list_as_the_stack(name: str, rng: np.random.Generator) -> None:
    values = rng.uniform(0.2, 0.9, (ROWS, ROWS)) + (1.0 if name in ("arccosh", "acosh") else 0.0)
    found = {}
    for given in (_as_stack, _as_rows, _as_numbers, _with_constants):
        rows = [tg.tensor(row, requires_grad=True) for row in values]
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            results = [y for y in tree.leaves(_call(name, given(rows))) if isinstance(y, Tensor)]
            live = [tg.sum(y * y) for y in results if y.requires_grad]
            if live:
                sum(live).backward()
        found[given] = (
            [y.numpy() for y in results],
            [None if row.grad is None else row.grad.numpy() for row in rows],
        )
    expected_values, expected_gradients = found.pop(_as_stack)
    for given, (values_found, gradients) in found.items():
        for y, expected in zip(values_found, expected_values, strict=True):
            np.testing.assert_allclose(y, expected, rtol=1e-12, err_msg=given.__name__)
        for i, (gradient, expected) in enumerate(zip(gradients, expected_gradients, strict=True)):
            if expected is None or (given is _with_constants and i == ROWS - 1):
                assert gradient is None
            else:
                np.testing.assert_allclose(gradient, expected, rtol=1e-12, err_msg=given.__name__)


def test_most_functions_have_a_gradient_there() -> None:
    """What the test above compares is not nothing."""
    x = tg.tensor(np.random.default_rng(0).uniform(0.2, 0.9, (ROWS, ROWS)), requires_grad=True)
    with np.errstate(all="ignore"):
        live = [
            name
            for name in PUBLIC
            if name not in NOT_OF_ARRAYS and any(map(_recorded, tree.leaves(_call(name, list(x)))))
        ]
    assert len(live) > 120


def _recorded(y: Any) -> bool:
    return isinstance(y, Tensor) and y.requires_grad


# -- right values --------------------------------------------------------------------------------------------


def test_a_sum_of_losses() -> None:
    w = tg.tensor(3.0, requires_grad=True)
    total = tg.sum([w * w, 2 * w])
    total.backward()
    assert (total.item(), w.grad.item()) == (15.0, 8.0)


@pytest.mark.parametrize(
    "op", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.eq, operator.lt]
)
def test_operators_with_a_list(op: Callable[[Any, Any], Any]) -> None:
    a, b, w = (tg.tensor(v, requires_grad=True) for v in (2.0, 3.0, 4.0))
    for pair in ([a, b], (a, b), [a, 3.0]):
        for y, expected in (
            (op(pair, w), op(np.array([2.0, 3.0]), 4.0)),
            (op(w, pair), op(4.0, np.array([2.0, 3.0]))),
        ):
            np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)
            assert y.requires_grad == (y.dtype.kind == "f")


def test_python_numbers_take_the_dtype_of_the_tensors() -> None:
    for dtype in ("float16", "float32", "float64"):
        x = tg.tensor(0.5, dtype=dtype)
        assert tg.asarray([x, 0.1, 1, True]).dtype == dtype
        assert tg.asarray([[x, x], [0.1, 2]]).tolist()[1] == [np.array(0.1, dtype).item(), 2.0]
    assert tg.asarray([tg.tensor(1), 2]).dtype == np.int64
    assert tg.asarray([tg.tensor(1), 2.5]).dtype == np.float64


@pytest.mark.both_backends
def test_a_list_on_another_backend_stays_there(backend: str) -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with tg.use_backend("numpy"):
        for y in (
            tg.sum([x, x], 0),
            tg.stack([[x, 1.0 * x], [x, x]]),
            tg.where([[True, False]] * 2, [x, x], 0.0),
        ):
            assert y.backend == backend


UNEVEN: list[Any] = [
    lambda t: [[1.0, 2.0], [3.0]],
    lambda t: [t, t[0]],
    lambda t: [[t[0], t[1]], [t[0]]],
    lambda t: [t, [1.0, 2.0, 3.0]],
    lambda t: ([t], []),
]


@pytest.mark.both_backends
@pytest.mark.parametrize("uneven", UNEVEN)
@pytest.mark.parametrize(
    "take", [tg.sum, tg.tensor, tg.tanh, tg.stack, lambda x: tg.mse_loss(x, x), lambda x: x * tg.tensor(2.0)]
)
def test_uneven_lists_are_told_so(uneven: Callable[[Tensor], Any], take: Callable[[Any], Any]) -> None:
    with pytest.raises(tg.ShapeError, match=r"one shape|same shape"):
        take(uneven(tg.tensor([1.0, 2.0])))


@pytest.mark.numpy_only
@pytest.mark.parametrize(
    "what",
    [{"a": 1.0}, (i for i in (1.0, 2.0)), {1.0}, "ab", [None], object(), np.array([1j]), np.array([None])],
)
def test_what_is_no_array(what: Any) -> None:
    for take in (tg.sum, tg.tensor, tg.tanh, lambda x: x + tg.tensor(1.0), lambda x: tg.tensor(1.0) * x):
        with pytest.raises(tg.DtypeError, match="cannot make a tensor of"):
            take(what)


def test_joins_take_any_iterable_of_arrays() -> None:
    t = tg.tensor([1.0, 2.0], requires_grad=True)
    assert tg.stack(x for x in (t, t)).requires_grad
    assert tg.concatenate(iter([t, [3.0]])).tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(tg.ArgumentError, match="a list or tuple"):
        tg.stack({"a": t})


# -- modules -------------------------------------------------------------------------------------------------


MODULES: dict[str, Callable[[], Callable[[Any], Any]]] = {
    "Linear": lambda: nn.Linear(4, 2, dtype="float64"),
    "LayerNorm": lambda: nn.LayerNorm(4, dtype="float64"),
    "Dropout": lambda: nn.Dropout(0.0),
    "RNNCell": lambda: lambda x: nn.RNNCell(4, 4, dtype="float64")(x, x),
    "LSTMCell": lambda: lambda x: nn.LSTMCell(4, 4, dtype="float64")(x, (x, x)),
    "PeepholeLSTMCell": lambda: lambda x: nn.PeepholeLSTMCell(4, 4, dtype="float64")(x, (x, x)),
    "GRUCell": lambda: lambda x: nn.GRUCell(4, 4, dtype="float64")(x, x),
    "RNN": lambda: nn.RNN(4, 3, dtype="float64"),
    "LSTM": lambda: nn.LSTM(4, 3, dtype="float64"),
    "GRU": lambda: nn.GRU(4, 3, bidirectional=True, dtype="float64"),
}


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
def test_modules_take_a_list_of_steps(
    make: Callable[[], Callable[[Any], Any]], rng: np.random.Generator
) -> None:
    values = rng.normal(size=(5, 4))
    found = []
    for given in (_as_stack, _as_rows):
        tg.random.seed(0)
        rows = [tg.tensor(row, requires_grad=True) for row in values]
        ys = tree.leaves(make()(given(rows)))
        sum(tg.sum(y * y) for y in ys).backward()
        found.append([*(y.numpy() for y in ys), *(row.grad.numpy() for row in rows)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_an_embedding_takes_a_list_of_numbers() -> None:
    table = nn.Embedding(4, 2)
    assert table([tg.tensor(1), tg.tensor(3)]).tolist() == table([1, 3]).tolist()


def test_where_nesting_is_meant_a_list_stays_one(rng: np.random.Generator) -> None:
    a, b = (tg.tensor(rng.normal(size=(4, 2))) for _ in range(2))
    ys, last = tg.scan(lambda x, h: ([x[0] + h, x[1]], h + x[0]), [a, b], tg.zeros((2,), "float64"))
    assert isinstance(ys, list)
    np.testing.assert_array_equal(ys[1].numpy(), b.numpy())
    assert last.shape == (2,)
