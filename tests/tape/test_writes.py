"""Arrays that the user writes into after they were recorded."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg
from tests.tape.leaves import grad_of, leaf
from tinygrad_rnn.tensor import Tensor


def _through_leaf(x: Tensor, y: Tensor) -> None:
    x.data[0] = 5.0


def _through_result(x: Tensor, y: Tensor) -> None:
    y.data[...] = 5.0


def _through_view(x: Tensor, y: Tensor) -> None:
    x.data.reshape(-1)[1:][0] += 5.0


def _through_operator(x: Tensor, y: Tensor) -> None:
    x.data -= 0.5


@pytest.mark.both_backends
@pytest.mark.parametrize("write", [_through_leaf, _through_result, _through_view, _through_operator])
def test_array_changed_in_place_after_recording(write: Callable[[Tensor, Tensor], None]) -> None:
    x = leaf([1.0, 2.0])
    y = tg.exp(x * 2)
    loss = tg.sum(y * y)
    write(x, y)
    with pytest.raises(
        tg.TapeError, match=r"\(2,\) was changed in place after '(multiply|exp)' \(entry \d+\)"
    ):
        loss.backward()
    with pytest.raises(tg.TapeError, match="changed in place"):
        tg.gradients(loss, x)
    assert x.grad is None
    tg.sum(x * 2).backward()  # recorded after the write
    assert grad_of(x).tolist() == [2.0, 2.0]


def test_array_changed_through_an_alias_taken_before_recording() -> None:
    x = leaf([1.0, 2.0])
    alias = x.data
    view = x.data[1:]
    loss = tg.sum(x * x)
    loss.backward()
    assert grad_of(x).tolist() == [2.0, 4.0]
    view[0] = 7.0
    with pytest.raises(tg.TapeError, match="'multiply'"):
        loss.backward()
    alias[1] = 2.0  # as it was
    loss.backward()
    assert grad_of(x).tolist() == [4.0, 8.0]


def test_view_on_the_tape_of_an_array_that_changes() -> None:
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    loss = tg.sum(tg.exp(x[0]) * x.T[1])
    x.data[0, 1] = 0.0
    with pytest.raises(tg.TapeError, match="changed in place"):
        loss.backward()


@pytest.mark.parametrize(
    "view",
    [
        lambda x: tg.broadcast_to(x, (3, 2, 2)),
        lambda x: tg.flip(tg.transpose(x)),
        lambda x: tg.unstack(tg.split(x, 2)[0])[0],
        lambda x: tg.reshape(tg.swapaxes(x, 0, 1)[0], (2, 1)),
        lambda x: x.detach()[0],
    ],
)
def test_every_kind_of_view_belongs_to_its_array(view: Callable[[Tensor], Tensor]) -> None:
    x, w = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf(2.0)
    x.data[...] *= 1
    loss = tg.sum(view(x) * w)
    x.data[0, 0] = 9.0
    with pytest.raises(tg.TapeError, match="changed in place"):
        loss.backward()


def test_writing_is_fine_where_no_pass_needs_the_array() -> None:
    p, x = leaf([1.0, 2.0]), tg.tensor(numpy.array([3.0, 4.0]))
    for step in range(3):
        loss = tg.sum(p * p * x)
        p.grad = None
        loss.backward()
        expected = 2 * p.numpy() * x.numpy()
        assert grad_of(p).tolist() == expected.tolist()
        assert p.grad is not None
        p.data -= 0.1 * p.grad.data
        if step == 1:
            x.data[0] += 1.0  # the next batch in the same buffer
    y = tg.sum(p * 3.0)
    p.data[0] = 1.0  # the residual of p needs 3, not p; but the array stood on the tape
    with pytest.raises(tg.TapeError):
        y.backward()


@pytest.mark.both_backends
def test_data_can_be_replaced() -> None:
    x = leaf([1.0, 2.0])
    loss = tg.sum(x * x)
    x.data = x.data * 10
    loss.backward()  # what was recorded is still there
    assert grad_of(x).tolist() == [2.0, 4.0]
    assert x.tolist() == [10.0, 20.0]
    with pytest.raises(tg.ShapeError, match=r"\(2,\).*\(3,\)"):
        x.data = numpy.zeros(3)
    with pytest.raises(tg.DtypeError, match=r"float64.*float32"):
        x.data = tg.zeros(2).data
    assert x.tolist() == [10.0, 20.0]


def test_tensor_is_not_written_by_index() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(tg.TapeError, match="where"):
        x[0] = 1.0


def test_assigned_array_is_watched() -> None:
    x, mine = leaf([1.0, 2.0]), tg.tensor(numpy.array([3.0, 4.0])).data
    x.data = mine
    loss = tg.sum(x * x)
    mine[0] = 50.0
    with pytest.raises(tg.TapeError, match="changed in place"):
        loss.backward()


@pytest.mark.both_backends
def test_leaves_are_copied_and_pickled_but_results_are_not() -> None:
    x = leaf([1.0, 2.0], name="w")
    tg.sum(x * x).backward()
    twins = [copy.deepcopy(x), copy.copy(x)] + (
        [pickle.loads(pickle.dumps(x))] if x.backend == "numpy" else []
    )
    for twin in twins:
        assert (twin.name, twin.requires_grad, twin.tolist(), grad_of(twin).tolist()) == (
            "w",
            True,
            [1.0, 2.0],
            [2.0, 4.0],
        )
    twins[0].data[0] = 7.0
    assert x.tolist() == [1.0, 2.0]
    y = tg.exp(x)
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(tg.TapeError, match="detach"):
            duplicate(y)
    assert copy.deepcopy(y.detach()).tolist() == y.tolist()


ONES, ZEROS, INDEX, MANY = numpy.ones((3, 4)), numpy.zeros((3, 4)), numpy.array([0, 1, 1]), 700
_STEPS, _STATE = numpy.ones((5, 3, 4)), numpy.zeros((3, 4))


def _scanned(w: Any, x: Any, xs: Any = None, **options: Any) -> Any:
    xs = tg.tensor(_STEPS) if xs is None else xs
    return tg.scan(lambda u, h: (h, tg.tanh(h * w + u + x)), xs, tg.tensor(_STATE), **options)[1]


def _embedded(w: Any, x: Any) -> Any:
    embedding = tg.nn.Embedding(3, 4)
    embedding.weight = w
    return embedding(x) ** 2


CONSTANTS: dict[str, tuple[Any, Callable[[Any, Any], Any]]] = {
    "multiply": (ONES, lambda w, x: w * x),
    "matmul": (ONES.T, lambda w, x: w @ x),
    "einsum": (ONES.T, lambda w, x: tg.einsum("ij,jk->ik", w, x)),
    "where": (ONES > 0, lambda w, x: tg.where(x, w * 2, w)),
    "maximum": (ZEROS, lambda w, x: tg.maximum(w, x)),
    "clip": (ZEROS, lambda w, x: tg.clip(w, x, None)),
    "concatenate": (ONES, lambda w, x: tg.concatenate([w, x]) ** 2),
    "index": (INDEX, lambda w, x: w[x] ** 2),
    "index in a tuple": (INDEX, lambda w, x: w[x, 1:] ** 2),
    "mask": (INDEX > 0, lambda w, x: w[x] ** 2),
    "take": (INDEX, lambda w, x: tg.take(w, x, 0) ** 2),
    "take_along_axis": (INDEX[:, None], lambda w, x: tg.take_along_axis(w, x, 1) ** 2),
    "repeat": (INDEX, lambda w, x: tg.repeat(w, x, 0) ** 2),
    "one_hot": (INDEX, lambda w, x: w * tg.one_hot(x, 4)),
    "embedding": (INDEX, _embedded),
    "cross_entropy": (INDEX, tg.cross_entropy),
    "cross_entropy of many": (
        numpy.arange(MANY) % 4,
        lambda w, x: tg.cross_entropy(tg.tile(w, (MANY // 3 + 1, 4))[:MANY], x),
    ),
    "weights of classes": (numpy.ones(4), lambda w, x: tg.cross_entropy(w, tg.tensor(INDEX), weight=x)),
    "bce": (ONES, tg.bce_with_logits),
    "huber_loss": (ONES, tg.huber_loss),
    "scan": (ONES, _scanned),
    "scan step by step": (ONES, lambda w, x: _scanned(w, x, compiled=False)),
    "scan over it": (_STEPS, lambda w, x: _scanned(w, 0.0, x)),
    "scan with checkpoints": (_STEPS, lambda w, x: _scanned(w, 0.0, x, checkpoint=2)),
    "lengths": (numpy.array([5, 2, 3]), lambda w, x: _scanned(w, 0.0, lengths=x)),
    "mask of steps": (numpy.ones((5, 3), bool), lambda w, x: _scanned(w, 0.0, mask=x)),
    "checkpoint": (ONES, lambda w, x: tg.checkpoint(lambda w: tg.tanh(w * x))(w)),
}


@pytest.mark.both_backends
@pytest.mark.each_value
@pytest.mark.parametrize("name", CONSTANTS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_write_into_a_constant_is_noticed_or_does_no_harm(name: str, when: str, rng: Any) -> None:
    """Whatever the constant is to the operation, and whether its array was asked for before it was
    recorded."""
    array, function = CONSTANTS[name]
    values = rng.normal(size=(3, 4))
    w, untouched, x = leaf(values), leaf(values), tg.tensor(array)
    theirs = x.data if when == "before" else None
    loss = tg.sum(function(w, x))
    theirs = x.data if theirs is None else theirs
    tg.sum(function(untouched, tg.tensor(array))).backward()
    changed = ~array if array.dtype == bool else numpy.where(array == 0, 1, 0).astype(array.dtype)
    theirs[...] = tg.tensor(changed).data
    said = ""
    try:
        loss.backward()
    except tg.TapeError as error:
        said = str(error)
    if said:
        assert "changed in place" in said or "other numbers" in said
        assert w.grad is None
    else:
        numpy.testing.assert_array_equal(grad_of(w), grad_of(untouched))
