"""What is recorded: dtypes, scopes, keys, and the tape as a table."""

from __future__ import annotations

import numpy
import pytest

import tinygrad_rnn as tg
from tests.tape.leaves import grad_of, leaf
from tinygrad_rnn import tape


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_python_numbers_never_change_a_dtype(dtype: str) -> None:
    x = leaf([0.5, 0.25], dtype)
    for y in (
        x + 1,
        2.5 * x,
        x - True,
        1 / x,
        x / 3,
        x**2,
        x**0.5,
        2**x,
        tg.maximum(x, 0),
        tg.where(x > 0, x, 0.0),
        tg.clip(x, 0, 1),
    ):
        assert y.dtype == dtype
    loss = tg.sum(tg.tanh(x * 2 + 1) ** 2) / 3 + tg.mean(tg.softmax(x)) + tg.sum(x[0] * 3)
    assert loss.dtype == dtype
    loss.backward()
    assert x.grad is not None
    assert x.grad.dtype == dtype


def test_mixed_dtypes_give_each_operand_its_own_back() -> None:
    x, y = leaf([1.0, 2.0], "float32"), leaf([3.0, 4.0])
    (x * y).sum().backward()
    assert (grad_of(x).dtype, grad_of(y).dtype) == (numpy.float32, numpy.float64)
    assert grad_of(x).tolist() == [3.0, 4.0]
    z = leaf([1.5], "float32")
    z.astype("float64").sum().backward()
    assert grad_of(z).dtype == numpy.float32


def test_only_floats_have_gradients() -> None:
    for values in ([1, 2], [True, False]):
        with pytest.raises(tg.DtypeError, match="float"):
            tg.tensor(values, requires_grad=True)
        with pytest.raises(tg.DtypeError, match="float"):
            tg.tensor(values).requires_grad_()
    x = leaf([1.5, 2.5])
    for y in (x.astype(int), x > 1, tg.floor(x), tg.argmax(x), tg.sign(x)):
        assert not y.requires_grad
        with pytest.raises(tg.TapeError):
            y.sum().backward()
    whole = tg.tensor([2, 3])
    (x * whole).sum().backward()
    assert grad_of(x).tolist() == [2.0, 3.0]
    assert whole.grad is None


def test_whole_numbers_that_ask_for_a_residual_by_force() -> None:
    x, y = tg.tensor([1, 2]), leaf([1.0, 2.0])
    x.requires_grad = True
    with pytest.raises(tg.DtypeError, match="float"):
        tg.sum(x * y).backward()
    assert x.grad is None
    assert y.grad is None


def test_tape_prints_as_a_table() -> None:
    w, x = leaf(numpy.ones((2, 4)), name="w"), tg.tensor(numpy.ones((3, 2)))
    i, f = tg.split(x @ w, 2, axis=-1)
    loss = tg.sum(tg.sigmoid(i) * f * 0.5)
    recorded = tg.Tape.of(loss)
    lines = [" ".join(line.split()) for line in repr(recorded).splitlines()]
    assert lines == [
        "# operation case shape inputs",
        "0 matmul weighting (3, 4) constant (3, 2), w",
        "1 split addition (3, 2) × 2 #0",
        "2 sigmoid composition (3, 2) #1.0",
        "3 multiply weighting (3, 2) #2, #1.1",
        "4 multiply weighting (3, 2) #3, 0.5",
        "5 sum addition () #4",
    ]
    assert [entry.row.name for entry in recorded] == [
        "matmul",
        "split",
        "sigmoid",
        "multiply",
        "multiply",
        "sum",
    ]
    assert [entry.index for entry in recorded] == sorted(entry.index for entry in recorded)
    assert len(recorded) == 6
    assert recorded[-1].row.case == "addition"
    assert len(tg.Tape.of(i, f)) == 2


def test_scopes_mark_where_an_entry_was_recorded() -> None:
    x = leaf([1.0])
    with tape.scope("module", "cell"), tape.scope("step", 3):
        y = x * 2
    z = y + 1
    assert y.entry is not None
    assert z.entry is not None
    assert y.entry.scope.within("step").label == 3
    assert y.entry.scope.within("module").label == "cell"
    assert y.entry.scope.within("batch") is None
    assert z.entry.scope is None


def test_a_key_tells_a_tensor_from_all_others_whatever_it_holds() -> None:
    x, same = (leaf([1, 1, 1]) for _ in range(2))
    parts = tg.split(x + same, 3)
    known = [tape.key_of(node) for node in (x, same, x * 1.0, x * 1.0, *parts)]
    assert len(set(known)) == len(known)
    assert tape.key_of(x) == known[0]
    (entry,) = {part.entry for part in parts}
    assert (
        [tape.key_of(node) for node in entry.results()] == known[-3:] == [(entry.index, i) for i in range(3)]
    )
