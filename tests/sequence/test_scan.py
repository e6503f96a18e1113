"""What ``scan`` means, by the eager loop: nesting, lengths, masks, direction, checkpoints, and cells that do
not keep to the rules."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import tree

scan = tg.scan
T, B, H = 6, 3, 2


def running_sum(x, state):
    state = state + x
    return state, state


def steps(rng):
    return rng.normal(size=(T, B, H))


@pytest.mark.both_backends
@pytest.mark.parametrize("reverse", [False, True])
def test_order_and_outputs_at_their_steps(rng, reverse):
    x, h = steps(rng), rng.normal(size=(B, H))
    ys, last = scan(running_sum, tg.tensor(x), tg.tensor(h), reverse=reverse, compiled=False)
    expected = h + (x[::-1].cumsum(0)[::-1] if reverse else x.cumsum(0))
    assert np.allclose(ys.numpy(), expected)
    assert np.allclose(last.numpy(), expected[0 if reverse else -1])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("masked_output", ["zero", "previous"])
def test_beyond_its_length_a_sample_keeps_its_state(rng, reverse, masked_output):
    x, lengths = steps(rng), [6, 0, 4]
    ys, last = scan(
        running_sum, tg.tensor(x), tg.zeros((B, H), "float64"), lengths, reverse, masked_output=masked_output
    )
    for b, n in enumerate(lengths):
        inside = x[:n, b][::-1].cumsum(0)[::-1] if reverse else x[:n, b].cumsum(0)
        assert np.allclose(ys.numpy()[:n, b], inside)
        assert np.allclose(last.numpy()[b], x[:n, b].sum(0))
        beyond = inside[-1] if masked_output == "previous" and n and not reverse else 0
        assert np.allclose(ys.numpy()[n:, b], beyond)


@pytest.mark.both_backends
def test_a_mask_with_gaps(rng):
    x = steps(rng)
    mask = rng.random((T, B)) < 0.5
    ys, last = scan(
        running_sum, tg.tensor(x), tg.zeros((B, H), "float64"), mask=mask, masked_output="previous"
    )
    sums = np.where(mask[..., None], x, 0).cumsum(0)
    assert np.allclose(ys.numpy(), sums)
    assert np.allclose(last.numpy(), sums[-1])
    both, _ = scan(
        running_sum, tg.tensor(x), tg.zeros((B, H), "float64"), lengths=[6, 2, 3], mask=tg.tensor(mask)
    )
    whole = mask & (np.arange(T)[:, None] < [6, 2, 3])
    assert np.allclose(
        both.numpy(), np.where(whole[..., None], np.where(whole[..., None], x, 0).cumsum(0), 0)
    )


def test_padding_does_not_reach_the_gradient(rng):
    x = tg.tensor(steps(rng), requires_grad=True)
    ys, last = scan(running_sum, x, tg.zeros((B, H), "float64"), [6, 0, 4])
    (tg.sum(ys) + tg.sum(last)).backward()
    expected = np.zeros((T, B, H))
    for b, n in enumerate([6, 0, 4]):
        expected[:n, b] = np.arange(n, 0, -1)[:, None] + 1
    assert np.allclose(x.grad.numpy(), expected)


@pytest.mark.parametrize("stop", [tg.sign, tg.floor, tg.stop_gradient, lambda h: h > 0.1])
def test_a_cell_without_a_way_back_has_no_gradient(rng, stop):
    x, W = tg.tensor(steps(rng), requires_grad=True), tg.tensor(rng.normal(size=(H, H)), requires_grad=True)

    def cell(x, h):
        h = stop(x @ W + h).astype("float64")
        return h, h

    ys, last = scan(cell, x, tg.zeros((B, H), "float64"), compiled=False)
    assert not ys.requires_grad
    assert not last.requires_grad


def test_any_nesting(rng):
    def cell(x, state):
        total, (count, extra) = state["total"], state["rest"]
        total = total + x["a"] * x["b"][0]
        return [total, {"twice": 2 * total}], {"total": total, "rest": (count + 1, extra)}

    a, b = steps(rng), steps(rng)
    xs = {"a": tg.tensor(a), "b": (tg.tensor(b),)}
    state = {"total": tg.zeros((B, H), "float64"), "rest": (tg.zeros((B, 1), "int64"), tg.zeros((B, 0)))}
    ys, last = scan(cell, xs, state, [6, 1, 0])
    assert ys[1]["twice"].shape == (T, B, H)
    assert np.allclose(ys[0].numpy()[:, 0], (a * b).cumsum(0)[:, 0])
    assert last["rest"][0].numpy().ravel().tolist() == [6, 1, 0]
    assert last["rest"][0].dtype == np.int64


@pytest.mark.both_backends
@pytest.mark.parametrize("every", [1, 2, 4, 6, 10])
@pytest.mark.parametrize("masked_output", ["zero", "previous"])
@pytest.mark.parametrize("reverse", [False, True])
def test_checkpoints_change_memory_only(rng, every, masked_output, reverse):
    x, w, h = steps(rng), rng.normal(size=(H, H)), rng.normal(size=(B, H))
    results = []
    for checkpoint in (None, every):
        tensors = [tg.tensor(v, requires_grad=True) for v in (x, w, h)]

        def cell(x, state, w=tensors[1]):
            state = tg.tanh(x + state @ w)
            return state, state

        options = {
            "masked_output": masked_output,
            "checkpoint": checkpoint,
            "reverse": reverse,
            "compiled": False,
        }
        ys, last = scan(cell, tensors[0], tensors[2], [6, 3, 1], **options)
        loss = tg.sum(ys**2) + tg.sum(last)
        loss.backward()
        results.append([ys.numpy(), last.numpy(), *(t.grad.numpy() for t in tensors)])
        if checkpoint:
            assert sum(e.row.case == "replay" for e in tg.Tape.of(loss)) == -(-T // checkpoint)
    for plain, kept in zip(*results, strict=True):
        assert np.allclose(plain, kept, rtol=0, atol=1e-12)


def test_every_operation_stands_in_its_step(rng):
    x = tg.tensor(steps(rng), requires_grad=True)
    ys, _ = scan(running_sum, x, tg.zeros((B, H), "float64"), compiled=False)
    scopes = [e.scope and e.scope.label for e in tg.Tape.of(ys)]
    assert scopes == [None, *range(T), None]


def test_no_steps_and_no_samples():
    ys, last = scan(running_sum, tg.zeros((0, B, H)), tg.ones((B, H)))
    assert ys.shape == (0, B, H)
    assert ys.dtype == np.float32
    assert last.numpy().all()
    ys, last = scan(running_sum, tg.zeros((T, 0, H)), tg.ones((0, H)), lengths=[])
    assert (ys.shape, last.shape) == ((T, 0, H), (0, H))


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        (lambda s: (s, s), tg.ShapeError, "nested"),
        (lambda s: tg.concatenate([s, s], -1), tg.ShapeError, r"\(3, 2\).*\(3, 4\)"),
        (lambda s: s.astype("float64"), tg.DtypeError, "float32.*float64"),
        (lambda s: None, tg.ShapeError, "NoneType"),
    ],
)
@pytest.mark.parametrize("lengths", [None, [6, 1, 2]])
def test_a_cell_that_changes_its_state_is_named_with_the_step(wrong, error, said, lengths):
    seen = []

    def wobbly(x, state):
        seen.append(x)
        return x, wrong(state) if len(seen) == 3 else state

    with pytest.raises(error, match=f"wobbly.*step 2.*{said}"):
        scan(wobbly, tg.zeros((T, B, H)), tg.zeros((B, H)), lengths, compiled=False)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: scan(running_sum, (), tg.zeros((B, H))), "at least one tensor"),
        (lambda: scan(running_sum, tg.tensor(1.0), tg.zeros((B, H))), "time as its first axis"),
        (lambda: scan(running_sum, (tg.zeros((2, B)), tg.zeros((3, B))), tg.zeros(B)), "number of steps"),
        (
            lambda: scan(running_sum, tg.zeros((T, B)), tg.zeros(B), masked_output="last"),
            "'zero' or 'previous'",
        ),
        (lambda: scan(running_sum, tg.zeros((T, B)), tg.zeros(B), compiled="yes"), "'auto', True or False"),
        (lambda: scan(running_sum, tg.zeros((T, B)), tg.zeros(B), checkpoint=0), "checkpoint.* at least 1"),
        (lambda: scan(running_sum, tg.zeros(T), tg.zeros(()), lengths=[1]), r"\(T, B, …\)"),
        (
            lambda: scan(running_sum, tg.zeros((T, B)), tg.zeros(()), lengths=[1, 2, 3]),
            "batch of 3 as its first axis",
        ),
    ],
)
def test_wrong_arguments(call, said):
    with pytest.raises((tg.ShapeError, tg.ArgumentError), match=said):
        call()


@pytest.mark.parametrize("compiled", [False, "auto"])
@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda h: None, "it returned None"),
        (lambda h: h, "it returned one tensor"),  # of 2 rows it was taken for a pair
        (lambda h: (h,), r"it returned \(tensor"),
        (lambda h: (h, h, h), r"it returned \(tensor"),
        (lambda h: {"y": h, "h": h}, "it returned {'h': tensor"),
        (lambda h: "ab", "it returned 'ab'"),
    ],
)
def test_a_cell_that_returns_no_pair(returned, said, compiled):
    def returning(x, h):
        return returned(h + x)

    for steps in (0, 3):
        with pytest.raises(
            tg.ArgumentError, match=rf"the cell returning must return a pair, .*: y, h; {said}"
        ):
            scan(returning, tg.zeros((steps, 2, 2)), tg.zeros((2, 2)), compiled=compiled)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (
            lambda: scan(running_sum, None, tg.zeros(2)),
            tg.DtypeError,
            "scan: xs: cannot make a tensor of None",
        ),
        (
            lambda: scan(running_sum, tg.zeros((3, 2)), None),
            tg.DtypeError,
            "scan: state: cannot make a tensor of None",
        ),
        (lambda: scan(None, tg.zeros((3, 2)), tg.zeros(2)), tg.ArgumentError, "cell must be a function"),
        (
            lambda: scan(tg.nn.GRUCell, tg.zeros((3, 2)), tg.zeros(2)),
            tg.ArgumentError,
            r"is the class GRUCell.* write GRUCell\(…\)",
        ),
        (lambda: tg.nn.Recurrent(tg.nn.GRUCell), tg.ArgumentError, r"Recurrent: cell is the class GRUCell"),
        (lambda: tg.nn.Recurrent(running_sum, checkpoint=0), tg.ArgumentError, "Recurrent: checkpoint"),
        (
            lambda: scan(running_sum, tg.zeros((3, 2)), tg.zeros(2), lengths=[1.0, 2.0]),
            tg.DtypeError,
            "lengths are whole",
        ),
        (
            lambda: scan(running_sum, tg.zeros((3, 2)), tg.zeros(2), lengths=[True, False]),
            tg.DtypeError,
            "lengths are whole",
        ),
        (
            lambda: scan(running_sum, tg.zeros((3, 2)), tg.zeros(2), lengths=[[1], [2, 3]]),
            tg.ShapeError,
            "lengths: a list stands for",
        ),
        (
            lambda: scan(running_sum, tg.zeros((3, 2)), tg.zeros(2), lengths=[-1, 2]),
            tg.ShapeError,
            "2 numbers from 0 to 3",
        ),
        (
            lambda: scan(running_sum, tg.zeros((3, 2)), tg.zeros(2), mask=[[1, 0]] * 3),
            tg.DtypeError,
            "a mask holds booleans",
        ),
    ],
)
def test_wrong_arguments_are_named(call, error, said):
    with pytest.raises(error, match=said):
        call()


@pytest.mark.both_backends
@pytest.mark.parametrize("lengths", [[2, 1], (2, 1), np.array([2, 1], np.uint8)])
def test_lengths_of_any_kind(lengths, rng):
    x = tg.tensor(rng.normal(size=(3, 2)))
    expected = scan(running_sum, x, tg.zeros(2, "float64"), lengths=[2, 1], compiled=False)[1].numpy()
    for given in (lengths, tg.tensor(lengths)):
        assert np.array_equal(
            scan(running_sum, x, tg.zeros(2, "float64"), lengths=given)[1].numpy(), expected
        )


# -- whole numbers that a cell looks up ----------------------------------------------------------------------


class Reader(tg.nn.Module):
    """Looks its words up at each step, and names a class there."""

    def __init__(self):
        self.words = tg.nn.Embedding(5, 4, "float64")

    def __call__(self, word, h):
        h = tg.tanh(self.words(word) + h)
        return tg.cross_entropy(h, word, reduction="none"), h


@pytest.mark.both_backends
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("checkpoint", [None, 2])
@pytest.mark.parametrize(
    ("word", "what"),
    [
        (-1, "Embedding: the number -1"),
        (9, "Embedding: the number 9"),
        (4, "cross_entropy: the class number 4"),
    ],
)
def test_a_word_that_is_not_there_is_named_in_a_compiled_cell_too(word, what, compiled, checkpoint, backend):
    words, cell, h = np.array([[0, 1], [2, 3], [1, 0]]), Reader(), tg.zeros((2, 4), "float64")
    first, _ = scan(cell, tg.tensor(words), h, compiled=compiled, checkpoint=checkpoint)
    assert np.isfinite(first.numpy()).all()
    words[1, 1] = word
    if backend == "numpy":
        with pytest.raises(tg.IndexRangeError, match=what):
            scan(cell, tg.tensor(words), h, compiled=compiled, checkpoint=checkpoint)
    else:  # a device would have to be waited for
        ys, _ = scan(cell, tg.tensor(words), h, compiled=compiled, checkpoint=checkpoint)
        assert np.isnan(ys.numpy()).tolist()[0] == [False, False]
        assert np.isnan(ys.numpy()).tolist()[1] == [False, True]
    again, _ = scan(
        cell, tg.tensor(np.array([[0, 1], [2, 3], [1, 0]])), h, compiled=compiled, checkpoint=checkpoint
    )
    assert np.array_equal(again.numpy(), first.numpy())


@pytest.mark.numpy_only
@pytest.mark.parametrize("compiled", [True, False])
def test_an_index_that_is_not_there_is_named_in_a_compiled_cell_too(compiled):
    table = tg.tensor(np.eye(3))

    def cell(i, h):
        h = h + tg.take(table, i, axis=0)
        return h, h

    ys, _ = scan(cell, np.array([[0], [-1]]), tg.zeros((1, 3), "float64"), compiled=compiled)
    assert ys.numpy()[-1].tolist() == [[1, 0, 1]]  # here −1 is the last
    with pytest.raises(tg.IndexRangeError, match=r"take.* 3 "):
        scan(cell, np.array([[0], [3]]), tg.zeros((1, 3), "float64"), compiled=compiled)


def test_a_long_sequence_needs_no_stack():
    x = tg.tensor(np.full((3000, 1, 1), 1e-3), requires_grad=True)
    ys, last = scan(running_sum, x, tg.zeros((1, 1), "float64"), compiled=False)
    last.backward()
    assert np.allclose(x.grad.numpy(), 1)
    assert tree.structure(ys) == "*"


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_number_as_a_state_takes_the_shape_and_dtype_that_the_cell_gives_it(compiled, dtype):
    def cell(x, state):
        h, (count, best) = state
        h = tg.tanh(x + h)
        return h, (h, (count + 1, tg.maximum(best, tg.sum(h, axis=1))))

    x = tg.tensor(np.random.default_rng(0).normal(size=(3, 2, 4)), dtype, requires_grad=True)
    ys, (h, (count, best)) = tg.scan(cell, x, (0.5, (0, -1.0)), compiled=compiled)
    expected, total = np.full((2, 4), 0.5, dtype), np.full(2, -1.0, dtype)
    for t in range(3):
        expected = np.tanh(x.numpy()[t] + expected)
        total = np.maximum(total, expected.sum(1))
    np.testing.assert_allclose(h.numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(best.numpy(), total, rtol=1e-6)
    assert (h.dtype, best.dtype, int(count.item())) == (dtype, dtype, 3)
    tg.sum(ys).backward()
    assert x.grad.shape == x.shape
