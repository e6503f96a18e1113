"""The tape: what is recorded, how residuals walk back, how memory is given back, and what is refused."""

from __future__ import annotations

import copy
import functools
import gc
import itertools
import pickle
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest
from numpy.testing import assert_allclose

import tinygrad_rnn as tg
from tinygrad_rnn import tape
from tinygrad_rnn.tensor import Tensor


def leaf(values: Any, dtype: str = "float64", name: str | None = None) -> Tensor:
    return tg.tensor(numpy.asarray(values, dtype), requires_grad=True, name=name)


def grad_of(x: Tensor) -> numpy.ndarray:
    assert x.grad is not None
    return x.grad.numpy()


# -- residuals meet ------------------------------------------------------------------------------------------


def test_fan_out_adds_up(rng: numpy.random.Generator) -> None:
    a = rng.normal(size=(3, 4))
    x = leaf(a)
    y = tg.tanh(x)
    tg.sum(y * 2 + y * y - tg.exp(y) + x).backward()
    t = numpy.tanh(a)
    assert_allclose(grad_of(x), (2 + 2 * t - numpy.exp(t)) * (1 - t * t) + 1, rtol=1e-13)


def test_one_tensor_on_both_sides_of_an_operation(rng: numpy.random.Generator) -> None:
    a = rng.normal(size=(3, 3))
    for operation, expected in (
        (lambda x: x + x, 2 + 0 * a),
        (lambda x: x - x, 0 * a),
        (lambda x: x * x, 2 * a),
        (lambda x: x @ x, numpy.ones((3, 3)) @ a.T + a.T @ numpy.ones((3, 3))),
        (lambda x: tg.concatenate([x, x, x]), 3 + 0 * a),
        (lambda x: tg.maximum(x, x), 1 + 0 * a),
        (lambda x: x * x[0], a[0] + numpy.array([1.0, 0, 0])[:, None] * a.sum(axis=0)),
    ):
        x = leaf(a)
        tg.sum(operation(x)).backward()
        assert_allclose(grad_of(x), expected, rtol=1e-12, atol=1e-14)


def test_broadcast_is_undone(rng: numpy.random.Generator) -> None:
    a, b, c, d = rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 1)), rng.normal(size=4), rng.normal()
    xs = [leaf(v) for v in (a, b, c, d)]
    tg.sum(xs[0] * xs[1] * xs[2] * xs[3]).backward()
    product = a * b * c * d
    assert_allclose(grad_of(xs[0]), product / a, rtol=1e-12)
    assert_allclose(grad_of(xs[1]), (product / b).sum(axis=(0, 2)).reshape(3, 1), rtol=1e-12)
    assert_allclose(grad_of(xs[2]), (product / c).sum(axis=(0, 1)), rtol=1e-12)
    assert_allclose(grad_of(xs[3]), (product / d).sum(), rtol=1e-12)


def test_what_is_not_used_gets_nothing() -> None:
    x, unused, constant = leaf([1.0, 2.0]), leaf([3.0]), tg.tensor([5.0, 6.0])
    unused_result = tg.exp(x)
    parts = tg.split(x * constant, 2)
    parts[0].sum().backward()
    assert unused.grad is None
    assert constant.grad is None
    assert unused_result.grad is None
    assert grad_of(x).tolist() == [5.0, 0.0]
    assert tg.gradients(tg.sum(x), [unused, x])[0].tolist() == [0.0]


def test_backward_twice_accumulates() -> None:
    x = leaf([1.0, 2.0])
    loss = tg.sum(x * x)
    loss.backward()
    loss.backward()
    assert grad_of(x).tolist() == [4.0, 8.0]
    tg.sum(x * 3.0).backward()
    assert grad_of(x).tolist() == [7.0, 11.0]
    x.grad = None
    loss.backward(grad=0.5)
    assert grad_of(x).tolist() == [1.0, 2.0]


def test_grads_share_memory_with_nothing() -> None:
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    start = tg.tensor(numpy.array([1.0, 1.0]))
    total = x + y
    total.backward(grad=start)
    assert x.grad is not None
    assert y.grad is not None
    kept = x.grad
    x.grad.data[0] = 100.0
    assert grad_of(y).tolist() == [1.0, 1.0]
    assert start.tolist() == [1.0, 1.0]
    total.backward(grad=start)
    assert kept.tolist() == [100.0, 1.0]  # a gradient once handed out is not written to
    assert grad_of(x).tolist() == [101.0, 2.0]
    assert grad_of(y).tolist() == [2.0, 2.0]
    a, b = tg.gradients(total, [x, y], start)
    a.data[0] = 7.0
    assert b.tolist() == start.tolist() == [1.0, 1.0]


def test_gradients_of_results_on_the_way(rng: numpy.random.Generator) -> None:
    a = rng.normal(size=3)
    x = leaf(a)
    y = tg.sin(x)
    z = y * y
    loss = tg.sum(z * x)
    at_y, at_z, at_x = tg.gradients(loss, [y, z, x])
    assert_allclose(at_z.numpy(), a)
    assert_allclose(at_y.numpy(), 2 * numpy.sin(a) * a, rtol=1e-13)
    assert_allclose(at_x.numpy(), 2 * numpy.sin(a) * numpy.cos(a) * a + numpy.sin(a) ** 2, rtol=1e-13)
    assert x.grad is None
    (only_y,) = tg.gradients(loss, [y])
    assert_allclose(only_y.numpy(), at_y.numpy())


def test_create_graph_gives_derivatives_of_derivatives(rng: numpy.random.Generator) -> None:
    a = rng.normal(size=4)
    x = leaf(a)
    tg.sum(x**4).backward(create_graph=True)
    first = x.grad
    assert first is not None
    assert_allclose(first.numpy(), 4 * a**3, rtol=1e-13)
    second = tg.gradients(tg.sum(first), x, create_graph=True)
    assert_allclose(second.numpy(), 12 * a**2, rtol=1e-13)
    third = tg.gradients(tg.sum(second), x)
    assert_allclose(third.numpy(), 24 * a, rtol=1e-13)
    assert not third.requires_grad


# -- dtypes --------------------------------------------------------------------------------------------------


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


# -- recording or not ----------------------------------------------------------------------------------------


def test_no_grad_nests_and_decorates() -> None:
    x = leaf([1.0])
    with tg.no_grad():
        assert not (x * 2).requires_grad
        with tg.no_grad():
            assert not (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad

    @tg.no_grad()
    def doubled(y: Tensor, deep: int = 0) -> Tensor:
        """Twice y."""
        return doubled(y, deep=deep - 1) if deep else y * 2

    assert not doubled(x, deep=2).requires_grad
    assert doubled.__doc__ == "Twice y."
    assert (x * 2).requires_grad
    block = tg.no_grad()
    with block:
        with block:
            assert not (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad
    with pytest.raises(KeyError), tg.no_grad():
        raise KeyError
    assert (x * 2).requires_grad


def test_nothing_is_recorded_without_need() -> None:
    assert len(tg.Tape.of(tg.exp(tg.tensor([1.0])) * 2)) == 0
    x = leaf([1.0])
    assert len(tg.Tape.of((x * 2).detach() + 1)) == 0
    assert (x * 2).detach().is_leaf


def test_exception_in_the_middle_leaves_everything_as_before() -> None:
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    tg.sum(w).backward()
    before, values = grad_of(w).copy(), w.numpy().copy()
    h = tg.tanh(w)
    with pytest.raises(tg.ShapeError, match=r"matmul.*\[2, 2\].*\[3, 1\]"):
        h @ tg.tensor(numpy.ones((3, 1)))
    with pytest.raises(tg.ShapeError):
        h.backward()
    with pytest.raises(tg.ShapeError):
        h.backward(grad=numpy.ones(3).tolist())
    assert (grad_of(w) == before).all()
    assert (w.numpy() == values).all()
    tg.sum(h).backward()
    assert_allclose(grad_of(w), 2 - numpy.tanh(values) ** 2, rtol=1e-13)


def test_each_thread_records_its_own(rng: numpy.random.Generator) -> None:
    a = rng.normal(size=(8, 50))
    found: dict[int, Any] = {}
    together = threading.Barrier(8)

    def work(i: int) -> None:
        x = leaf(a[i])
        together.wait()
        if i % 2:
            with tg.no_grad():
                together.wait()
                found[i] = (x * x).requires_grad
                together.wait()
        else:
            together.wait()
            y = x
            for _ in range(50):
                y = tg.sin(y) + x
            loss = tg.sum(y)
            together.wait()
            loss.backward()
            found[i] = (len(tg.Tape.of(loss)), grad_of(x))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(8):
        if i % 2:
            assert found[i] is False
            continue
        y, slope = a[i], numpy.ones(50)
        for _ in range(50):
            y, slope = numpy.sin(y) + a[i], numpy.cos(y) * slope + 1
        assert found[i][0] == 101
        assert_allclose(found[i][1], slope, rtol=1e-11)
    assert tape.thread.recording


# -- what is refused -----------------------------------------------------------------------------------------


def test_backward_of_what_cannot_be() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(tg.ShapeError, match="2 values"):
        (x * 2).backward()
    with pytest.raises(tg.ShapeError, match=r"\(3,\).*\(2,\)"):
        (x * 2).backward(grad=[1.0, 1.0, 1.0])
    with pytest.raises(tg.TapeError, match="requires_grad=True"):
        tg.tensor(1.0).backward()
    with tg.no_grad():
        y = tg.sum(x)
    with pytest.raises(tg.TapeError, match="no_grad"):
        y.backward()
    assert x.grad is None


def test_released_tape() -> None:
    x = leaf([1.0, 2.0])
    y = tg.exp(x)
    loss = tg.sum(y * y)
    tg.Tape.of(loss).release()
    for walk in (
        loss.backward,
        lambda: tg.Tape.of(loss),
        lambda: tg.gradients(loss, x),
        lambda: tg.sum(y + x).backward(),
    ):
        with pytest.raises(tg.TapeError, match=r"released.*forward pass again"):
            walk()
    assert x.grad is None
    tg.sum(x).backward()
    assert grad_of(x).tolist() == [1.0, 1.0]


def _through_leaf(x: Tensor, y: Tensor) -> None:
    x.data[0] = 5.0


def _through_result(x: Tensor, y: Tensor) -> None:
    y.data[...] = 5.0


def _through_view(x: Tensor, y: Tensor) -> None:
    x.data.reshape(-1)[1:][0] += 5.0


def _through_operator(x: Tensor, y: Tensor) -> None:
    x.data -= 0.5


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


# -- length and memory ---------------------------------------------------------------------------------------


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Memory must come back by itself, without the search for cycles."""
    gc.disable()
    yield
    gc.enable()


def _chain(length: int) -> tuple[float, float]:
    """Seconds that a chain takes forward, backward and to be given up; and its gradient."""
    x = leaf(0.5)
    start = time.perf_counter()
    y = x
    for _ in range(length // 2):
        y = y * 0.999 + 0.001
    y.backward()
    gradient = float(grad_of(x))
    y = x
    return time.perf_counter() - start, gradient


@pytest.mark.slow
@pytest.mark.one_backend
@pytest.mark.usefixtures("no_collector")
def test_chain_of_100_000_steps_takes_linear_time_and_no_recursion() -> None:
    half, whole = [], []
    for _ in range(2):  # the best of several: a busy machine only makes it slower
        seconds, gradient = _chain(50_000)
        assert gradient == pytest.approx(0.999**25_000, rel=1e-9)
        half.append(seconds)
        whole.append(_chain(100_000)[0])
    assert min(whole) < 3 * min(half)


@pytest.mark.usefixtures("no_collector")
def test_chain_of_20_000_steps_on_every_backend() -> None:
    assert _chain(20_000)[1] == pytest.approx(0.999**10_000, rel=1e-9)


@pytest.mark.usefixtures("no_collector")
def test_memory_is_given_back_when_the_result_goes() -> None:
    x = leaf(numpy.ones(4))
    y = tg.exp(x)
    z = tg.split(y * x, 2)[0]
    loss = tg.sum(z)
    entries = [weakref.ref(entry) for entry in tg.Tape.of(loss)]
    arrays = [weakref.ref(y.data), weakref.ref(z.data)]
    loss.backward()
    assert all(ref() is not None for ref in entries)
    del y, z, loss
    assert [ref() for ref in entries] == [None] * 4
    assert [ref() for ref in arrays] == [None] * 2
    assert not any(exposure.block() is None for exposure in tape.writes.exposed.values())


@pytest.mark.usefixtures("no_collector")
def test_memory_is_given_back_after_create_graph_errors_and_transforms() -> None:
    x = leaf(numpy.ones(4))

    def run() -> list[weakref.ref[Any]]:
        y = tg.exp(x)
        loss = tg.sum(y * y)
        first = tg.gradients(loss, x, create_graph=True)
        tg.sum(first).backward()
        with pytest.raises(tg.ShapeError):
            y @ tg.zeros((7, 7), dtype="float64")
        tg.hvp(lambda v: tg.sum(tg.tanh(v) ** 2), y, tg.ones_like(y))
        tg.sum(tg.checkpoint(lambda v: tg.tanh(v * x))(y)).backward()
        return [weakref.ref(entry) for entry in tg.Tape.of(loss, first)]

    assert [ref() for ref in run()] == [None] * len(run())
    x.grad = None


def test_exposed_arrays_leave_the_table_with_their_last_reference() -> None:
    before = len(tape.writes.exposed)
    tensors = [leaf([float(i)]) for i in range(10)]
    assert len({id(t.data) for t in tensors}) == 10
    assert len(tape.writes.exposed) == before + 10
    del tensors
    assert len(tape.writes.exposed) == before


# -- looking -------------------------------------------------------------------------------------------------


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


# -- checkpoint ----------------------------------------------------------------------------------------------


def test_checkpoint_keeps_only_what_goes_in_and_finds_what_it_closes_over(
    rng: numpy.random.Generator,
) -> None:
    a, b = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    x, w = leaf(a), leaf(b)
    scale = w * 2  # a result on the way that the function closes over

    def block(y: Tensor) -> Tensor:
        for _ in range(3):
            y = tg.tanh(y @ scale)
        return y

    kept = tg.sum(tg.checkpoint(block)(x) ** 2)
    assert len(tg.Tape.of(kept)) == 4  # w · 2, the block, the square, the sum
    kept.backward()
    found = grad_of(x).copy(), grad_of(w).copy()
    x.grad = w.grad = None
    tg.sum(block(x) ** 2).backward()
    assert_allclose(found[0], grad_of(x), rtol=1e-13)
    assert_allclose(found[1], grad_of(w), rtol=1e-13)


def test_second_order_through_checkpoint(rng: numpy.random.Generator) -> None:
    a, b = rng.normal(size=3), rng.normal(size=3)
    w = leaf(b)

    def f(x: Tensor) -> Tensor:
        return tg.sum(tg.sin(x * w) * x)

    ours, plain = tg.checkpoint(f), f
    x = leaf(a)
    vectors = []
    for g in (ours, plain):
        first = tg.gradients(g(x), [x, w], create_graph=True)
        mixed = tg.gradients(tg.sum(first[0] * first[1]), [x, w])
        vectors.append([v.numpy() for v in (*first, *mixed)])
    for one, other in zip(*vectors, strict=True):
        assert_allclose(one, other, rtol=1e-12)
    numpy.testing.assert_allclose(
        tg.hessian(ours)(tg.tensor(a)).numpy(), tg.hessian(plain)(tg.tensor(a)).numpy(), rtol=1e-12
    )
    diagonal = 2 * b * numpy.cos(a * b) - a * b * b * numpy.sin(a * b)
    assert_allclose(tg.hessian(ours)(tg.tensor(a)).numpy(), numpy.diag(diagonal), rtol=1e-12, atol=1e-14)


def test_checkpoint_of_several_results_and_of_none_that_need() -> None:
    x = leaf([1.0, 2.0])
    both = tg.checkpoint(lambda y, n: {"twice": y * 2, "plain": y.detach() * n})(x, 3)
    tg.sum(both["twice"]).backward()
    assert grad_of(x).tolist() == [2.0, 2.0]
    assert not both["plain"].requires_grad
    with pytest.raises(tg.DtypeError, match="must return tensors"):
        tg.checkpoint(lambda y: 3)(x)
    with tg.no_grad():
        assert not tg.checkpoint(lambda y: y * 2)(x).requires_grad
    x.data[0] = 5.0
    again = tg.checkpoint(lambda y: tg.exp(y))(x)
    x.data[0] = 6.0
    with pytest.raises(tg.TapeError, match="'checkpoint'"):
        tg.sum(again).backward()


# -- switches that users reach past the front door -----------------------------------------------------------


def test_assigned_array_is_watched() -> None:
    x, mine = leaf([1.0, 2.0]), tg.tensor(numpy.array([3.0, 4.0])).data
    x.data = mine
    loss = tg.sum(x * x)
    mine[0] = 50.0
    with pytest.raises(tg.TapeError, match="changed in place"):
        loss.backward()


def test_create_graph_records_also_under_no_grad() -> None:
    x = leaf([2.0, 3.0])
    loss = tg.sum(x**3)
    with tg.no_grad():
        loss.backward(create_graph=True)
        loss.backward(create_graph=True)
    assert x.grad is not None
    assert_allclose(tg.gradients(tg.sum(x.grad), x).numpy(), [24.0, 36.0], rtol=1e-13)
    x.grad = None


def test_whole_numbers_that_ask_for_a_residual_by_force() -> None:
    x, y = tg.tensor([1, 2]), leaf([1.0, 2.0])
    x.requires_grad = True
    with pytest.raises(tg.DtypeError, match="float"):
        tg.sum(x * y).backward()
    assert x.grad is None
    assert y.grad is None


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


def test_released_tape_still_prints() -> None:
    x = leaf([1.0, 2.0])
    recorded = tg.Tape.of(tg.sum(tg.exp(x)))
    recorded.release()
    assert [line.split()[-1] for line in repr(recorded).splitlines()] == ["inputs", "released", "released"]


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


def test_residuals_without_axes_meet_in_any_order(backend):
    """A number that is used as it is, several times, and by an index that adds into a place of its own."""
    for uses in itertools.permutations(
        [lambda x: x * 2.0, lambda x: x * 3.0, lambda x: x[...], lambda x: x[()], lambda x: x * 5.0]
    ):
        x = tg.tensor(1.5, "float32", requires_grad=True)
        total = functools.reduce(tg.add, [use(x) for use in uses])
        total.backward()
        assert x.grad.numpy() == 12
        assert x.grad.shape == ()
