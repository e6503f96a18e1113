"""Which loops a nest has, however axes are turned and indices are made; and no more of them than are
needed."""

from __future__ import annotations

import dataclasses
import itertools
import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.compare import compare
from tinygrad_rnn import chain_rule
from tinygrad_rnn.chain_rule.routing import Piece, Routed, Step
from tinygrad_rnn.sequence import nest_writer, nested
from tinygrad_rnn.sequence.nest_planner import Nests
from tinygrad_rnn.sequence.nests import Group

pytestmark = pytest.mark.machine_code


def _turned(piece: Piece) -> Piece:
    """A piece that reads the last axis the other way round, or at another place."""
    steps = list(piece.steps)
    for i, step in reversed(list(enumerate(steps))):
        if step.axis is not None:
            start, end, by = piece.box[step.axis]
            count = len(range(start, end, by))
            steps[i] = Step(step.axis, -step.scale, step.offset + step.scale * (count - 1))
            break
    return dataclasses.replace(piece, steps=tuple(steps))


ROUTINGS = {
    "broadcast_to": lambda x: tg.broadcast_to(x, (2, *x.shape)),
    "transpose": lambda x: tg.transpose(x, (1, 0)),
    "flip": lambda x: tg.flip(x, axis=0),
    "roll": lambda x: tg.roll(x, 1, axis=1),
    "pad": lambda x: tg.pad(x, ((1, 0), (0, 2))),
    "tril": lambda x: tg.tril(x),
    "triu": lambda x: tg.triu(x),
    "concatenate": lambda x: tg.concatenate([x, x * 2], axis=0),
    "split": lambda x: tg.split(x, [1], axis=1)[1],
    "stack": lambda x: tg.stack([x, x * 2]),
    "unstack": lambda x: tg.unstack(x, axis=0)[1],
    "getitem": lambda x: x[:, ::2],
    "scatter": lambda x: x[:, ::2],
}


@pytest.mark.parametrize("name", ROUTINGS)
def test_a_routing_that_turns_an_axis_round_is_noticed(name, nests, monkeypatch):
    row, shape = chain_rule.rows[name], (3, 5)
    x, h = np.random.default_rng(0).normal(size=(2, *shape)), np.random.default_rng(1).normal(size=shape)

    def gradients(compiled):
        xs, state = tg.tensor(x, requires_grad=True), tg.tensor(h, requires_grad=True)

        def cell(x, h):
            y = tg.sin(x + h)
            routed = ROUTINGS[name](y)
            return tg.sin(routed * np.arange(1.0, routed.size + 1).reshape(routed.shape)), y

        ys, last = tg.scan(cell, xs, state, compiled=compiled)
        (tg.sum(ys * ys) + tg.sum(last)).backward()
        return [ys.numpy(), xs.grad.numpy(), state.grad.numpy()]

    def alike():
        tg.clear_caches()
        return all(
            np.allclose(a, b, rtol=1e-9) for a, b in zip(gradients(True), gradients(False), strict=True)
        )

    assert alike()
    pieces = row.loops.pieces
    monkeypatch.setitem(
        vars(row), "loops", Routed(lambda *args: [_turned(piece) for piece in pieces(*args)], row.loops.index)
    )
    assert not alike()


INDICES = {
    "rows": lambda i, j: (i,),
    "in the middle": lambda i, j: (slice(None), i),
    "last": lambda i, j: (..., i),
    "pairs": lambda i, j: (i, j),
    "pairs of matrices": lambda i, j: (i[:, None], j),
    "a number beside": lambda i, j: (1, i),
    "a number behind": lambda i, j: (slice(None), i, -1),
    "apart": lambda i, j: (i, slice(None), j),
    "a new axis between": lambda i, j: (i, None, j),
    "a new axis before": lambda i, j: (None, i),
    "arrays beside": lambda i, j: (np.array([0, 1, 1]), slice(1, None), i),
}


@pytest.mark.parametrize("name", INDICES)
def test_an_index_of_numbers_that_differ_from_step_to_step(name, nests):
    """As NumPy's, whatever axes it names; the numbers count from the end where they are negative."""
    random = np.random.default_rng(3)
    x, i, j = random.normal(size=(4, 3, 3, 3)), random.integers(-3, 3, (4, 3)), random.integers(-3, 3, (4, 3))
    shape = x[0][INDICES[name](i[0], j[0])].shape

    def cell(x, state):
        (total,) = state
        values, i, j = x
        y = values[INDICES[name](i, j)]
        return y * y, (total + tg.sin(y),)

    xs = tg.tensor(x, requires_grad=True)
    ys, _ = tg.scan(cell, (xs, i, j), (tg.zeros(shape, "float64"),), compiled=True)
    expected = np.stack([x[t][INDICES[name](i[t], j[t])] for t in range(4)])
    np.testing.assert_array_equal(ys.numpy(), expected**2)
    tg.sum(ys).backward()
    gradient = np.zeros_like(x)
    for t in range(4):
        np.add.at(gradient[t], INDICES[name](i[t], j[t]), 2 * expected[t])
    np.testing.assert_allclose(xs.grad.numpy(), gradient, rtol=1e-12)
    assert nests


def test_an_index_out_of_range_is_an_error(nests):
    def cell(x, h):
        return h[x], h

    with pytest.raises(tg.IndexRangeError, match="5"):
        tg.scan(cell, np.array([[0], [5]]), tg.ones((3, 2)), compiled=True)
    assert nests


SPELLINGS = {
    "@": lambda h, W: h @ W,
    "einsum": lambda h, W: tg.einsum("bi,io->bo", h, W),
    "the weight first": lambda h, W: tg.einsum("io,bi->bo", W, h),
    "the weight transposed": lambda h, W: tg.einsum("bi,oi->bo", h, W.T),
    "tensordot": lambda h, W: tg.tensordot(h, W, axes=1),
    "columns": lambda h, W: (W.T @ h.T).T,
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_product_is_planned_alike_however_it_is_spelled(name):
    """One product before the loop, one in it, and weight gradients as one product over all steps."""
    W, U = (tg.tensor(np.random.default_rng(i).normal(size=(4, 4)), requires_grad=True) for i in range(2))

    def cell(x, h):
        h = tg.tanh(SPELLINGS[name](x, W) + SPELLINGS[name](h, U))
        return h, h

    ys, _ = tg.scan(cell, tg.ones((5, 3, 4), "float64"), tg.zeros((3, 4), "float64"), compiled=True)
    told = tg.explain(cell)
    assert "all steps  matmul (3, 4) (4, 4) -> (3, 4)" in told
    assert "after      1 weight gradient as one product over all steps" in told
    h = np.zeros((3, 4))
    for y in ys.numpy():
        h = np.tanh(np.ones((3, 4)) @ W.numpy() + h @ U.numpy())
        np.testing.assert_allclose(y, h, rtol=1e-12)


@pytest.mark.parametrize("segment", [1, 2, 3])
def test_no_bit_of_a_gradient_changes_where_steps_are_kept_in_segments(segment, nests):
    random = np.random.default_rng(4)
    W, b, M = (
        tg.tensor(random.normal(size=shape), requires_grad=True) for shape in [(5, 5), (5,), (9, 2, 5)]
    )
    xs = tg.tensor(random.normal(size=(7, 9, 5)), requires_grad=True)

    def cell(x, h):
        h = tg.tanh(x + h @ W + b + tg.sum(M * h[:, None, :], axis=1))
        return h, h

    def gradients(checkpoint):
        ys, last = tg.scan(cell, xs, tg.zeros((9, 5), "float64"), checkpoint=checkpoint, compiled=True)
        return [g.numpy() for g in tg.gradients(tg.sum(ys * ys) + tg.sum(last), [W, b, M, xs])]

    for a, b_ in zip(gradients(segment), gradients(None), strict=True):
        np.testing.assert_array_equal(a, b_)
    assert nests


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("float32", "float64"),
        ("float64", "float32"),
        ("int64", "float64"),
        ("int32", "int64"),
        ("bool", "int64"),
    ],
)
def test_products_of_two_dtypes(first, second, nests):
    random = np.random.default_rng(6)
    x, W = (
        (random.integers(0, 3, (3, 5, 40)) + 0.5).astype(first),
        (random.integers(0, 3, (40, 48)) - 0.25).astype(second),
    )

    def cell(x, h):
        return (x @ tg.tensor(W), tg.einsum("bi,io->ob", x, tg.tensor(W))), h

    (ys, turned), _ = tg.scan(cell, x, tg.zeros((5, 1)), compiled=True)
    np.testing.assert_allclose(ys.numpy(), x @ W, rtol=1e-6)
    np.testing.assert_array_equal(turned.numpy(), ys.numpy().swapaxes(1, 2))
    assert ys.dtype == (x @ W).dtype
    assert nests


AXES = [axes for count in (1, 2, 3) for axes in itertools.combinations((1, 2, 3, 4), count)]


@pytest.mark.parametrize("how", [tg.sum, tg.max])
@pytest.mark.parametrize("axes", AXES, ids=str)
def test_values_are_reduced_in_the_loops_that_make_them(axes, how, nests, rng, monkeypatch):
    """Along any axes, also where loops over several axes are one, and two reductions go through the same
    loops."""
    groups, build = [], nest_writer._WRITE[Group]
    monkeypatch.setitem(
        nest_writer._WRITE, Group, lambda writer, group: groups.append(group) or build(writer, group)
    )

    def cell(x, h):
        z = tg.exp(x * h)
        large = how(z, axis=axes, keepdims=True)
        return z * large, tg.tanh(h + large) * tg.sum(z, axis=-1, keepdims=True) * 0.01

    xs = tg.tensor(rng.normal(size=(4, 6, 3, 1, 4, 5)), requires_grad=True)
    state = tg.tensor(rng.normal(size=(6, 3, 1, 4, 5)), requires_grad=True)
    compare("numpy", cell, [xs, state], xs, state)
    assert any(group.reductions for group in groups)


def test_nests_that_are_alike_are_written_once(nests, rng, monkeypatch):
    """Forty rounds of what a cell goes round take no more machine code than ten; what differs in a number
    stays apart."""
    texts, build = [], nested.text_of
    monkeypatch.setattr(
        nested, "text_of", lambda writers, endings: texts.append(build(writers, endings)) or texts[-1]
    )
    W = tg.tensor(rng.normal(size=(5, 5)) * 0.2, requires_grad=True)

    def rounds(count):
        def cell(x, h):
            for i in range(count):
                h = tg.tanh(h @ W + x) * (0.9 if i % 2 else 1.1)
            return h, h

        return cell

    xs, state = tg.tensor(rng.normal(size=(3, 2, 5)), requires_grad=True), tg.zeros((2, 5), dtype="float64")
    for count in (10, 40):
        texts.clear()
        compare("numpy", rounds(count), [xs, W], xs, state)
        written = len(re.findall(r"^define internal", "".join(texts), re.MULTILINE))
        assert written < 25, count
        assert "".join(texts).count("call void @nest") > 3 * count


@pytest.mark.parametrize("rounds", [2000])
def test_long_chains(rounds, nests, rng):
    """No expression is as deep as the chain is long, and planning takes time in proportion."""

    def cell(x, h):
        for _ in range(rounds):
            h = h * 0.999 + x
        return h, h

    xs = tg.tensor(rng.normal(size=(2, 3, 2)), requires_grad=True)
    compare("numpy", cell, [xs], xs, tg.zeros((3, 2), dtype="float64"))


def test_planning_again_does_not_grow_with_a_chain(nests, rng, monkeypatch):
    """What must lie in memory is found for all of a step at once."""
    plans, plan = [], Nests._plan
    monkeypatch.setattr(Nests, "_plan", lambda self: plans.append(self) or plan(self))

    def cell(x, h):
        for _ in range(20):
            h = tg.reshape(tg.roll(tg.reshape(tg.tanh(h), (-1, 2, 3)), 1, 1), h.shape) + x
        return h, h

    xs = tg.tensor(rng.normal(size=(2, 9, 6)), requires_grad=True)
    compare("numpy", cell, [xs], xs, tg.zeros((9, 6), dtype="float64"))
    assert len(plans) <= 4


def test_loops_are_of_bounded_length(nests, rng):
    """A row of a table that is made element by element: the machine code is in pieces, as long as they may
    be."""

    def row(cost, h):
        made = [h[:, 0] + cost[:, 0]]
        for j in range(1, 60):
            made.append(cost[:, j] + tg.minimum(tg.minimum(h[:, j], h[:, j - 1]), made[-1]))
        h = tg.stack(made, 1)
        return h[:, -1], h

    xs, state = (
        tg.tensor(rng.normal(size=(3, 9, 60)), requires_grad=True),
        tg.tensor(rng.normal(size=(9, 60)), requires_grad=True),
    )
    compare("numpy", row, [xs, state], xs, state)
    assert min(part.count for plan in nests for part in plan.parts.values()) > 1
