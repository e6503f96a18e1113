"""A tensor as a user types it: operators beside arrays, printed and compared, written into."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.tape.leaves import leaf

Tensor = tg.Tensor


OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.pow,
    operator.mod,
    operator.matmul,
]


@pytest.mark.numpy_only
@pytest.mark.parametrize(
    "left", [np.array([3.1, 2.2]), np.float64(3.2), [3.25, 2.125]], ids=["array", "number", "list"]
)
@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
def test_operators_with_what_is_numpys_on_the_left(op: Callable[[Any, Any], Any], left: Any) -> None:
    if op is operator.matmul and np.ndim(left) == 0:
        return
    t = leaf([1.5, 0.5])
    y = op(left, t)
    assert isinstance(y, Tensor)
    np.testing.assert_allclose(y.numpy(), op(np.asarray(left), t.numpy()))
    tg.sum(y).backward()
    step = 1e-6
    for i, slope in enumerate(t.grad.tolist()):
        moved = np.eye(2)[i] * step
        values = [np.sum(op(np.asarray(left), t.numpy() + s * moved)) for s in (1, -1)]
        assert slope == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-6)


def test_an_array_is_not_written_with_a_recorded_tensor() -> None:
    t, a = leaf([1.5, 0.5]), np.zeros(2)
    writes: list[Callable[[], Any]] = [
        lambda: a.__iadd__(t),
        lambda: a.__isub__(t),
        lambda: a.__imul__(t),
        lambda: np.add(a, t, out=a),
        lambda: a.__setitem__(..., t),
        lambda: a.__setitem__(slice(None), t),
        lambda: np.copyto(a, t),
        lambda: np.put(a, [0, 1], t),
        lambda: np.add.at(a, [0, 1], t),
    ]
    for write in writes:
        with pytest.raises(tg.TapeError, match="leave the tape"):
            write()
    assert a.tolist() == [0.0, 0.0]
    a += t.detach()
    a[:] += t.detach()
    assert a.tolist() == [3.0, 1.0]


def test_a_tensor_is_not_written_by_numpy() -> None:
    c = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    for write in (
        lambda: np.fill_diagonal(c, 0.0),
        lambda: np.copyto(c, np.zeros((2, 2))),
        lambda: np.add(1.0, 2.0, out=c),
        lambda: np.add.at(c, 0, 1.0),
    ):
        with pytest.raises(tg.TapeError, match="write into a tensor"):
            write()
    assert c.tolist() == [[1.0, 2.0], [3.0, 4.0]]


Tensor = tg.Tensor


@pytest.mark.both_backends
def test_a_single_value_is_printed_and_compared_as_a_number() -> None:
    loss = tg.sum(tg.tensor([1.5, 0.75], requires_grad=True))
    assert f"{loss:.3f}|{loss:8.1e}|{loss}" == f"2.250| 2.2e+00|{loss!s}"
    assert "%.2f" % loss == "2.25"  # noqa: UP031
    assert f"{tg.tensor(7):d} {tg.tensor(True)}" == "7 tensor(True, dtype=bool)"
    assert round(loss, 1).item() == pytest.approx(2.2)
    assert round(loss).item() == 2
    assert (int(loss), float(loss), complex(loss), math.isnan(loss), bool(loss)) == (
        2,
        2.25,
        2.25 + 0j,
        False,
        True,
    )
    quotient, rest = divmod(loss, 2)
    assert (quotient.item(), rest.item(), rest.requires_grad) == (1.0, 0.25, True)
    assert [z.item() for z in divmod(5, loss)] == [2.0, 0.5]
    assert max([loss, loss + 1, loss - 1]).item() == 3.25
    assert loss < float("inf")


@pytest.mark.parametrize("spec", [".3f", "d", ">10"])
def test_a_format_of_several_values(spec: str) -> None:
    x = tg.tensor([1.0, 2.0])
    with pytest.raises(tg.ShapeError, match=r"one value.*\(2,\).*tolist"):
        format(x, spec)
    assert f"{x}" == str(x)


@pytest.mark.both_backends
@pytest.mark.parametrize("index", [0, (0, 1), slice(None), np.array([True, False])])
def test_writing_into_a_tensor_is_told_what_to_write(index: Any) -> None:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    with pytest.raises(
        tg.TapeError,
        match=r"x\[.*\] = … cannot be recorded.*tg\.where\(mask, new, x\).*tg\.stack\(list\).*x\.data",
    ):
        x[index] = 0.0
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    changed = tg.concatenate([x[:0], tg.zeros((1, 2)), x[1:]])
    tg.sum(changed).backward()
    assert x.grad.tolist() == [[0.0, 0.0], [1.0, 1.0]]
