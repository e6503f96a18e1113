"""Derivatives of derivatives of a compiled scan are compiled scans: the loop's numbers, of any order and in
either mode."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.covering import some
from tinygrad_rnn import tree
from tinygrad_rnn.selfcheck import cells
from tinygrad_rnn.sequence.run import CompiledScan

pytestmark = pytest.mark.machine_code


@pytest.fixture
def never_step_by_step(monkeypatch):
    def refuse(*_):
        raise AssertionError("the derivative ran step by step")

    monkeypatch.setattr(CompiledScan, "_replay", refuse)


def weighted(leaves, number):
    """A number of some tensors that no two elements go into alike."""
    random = np.random.default_rng(number)
    terms = [
        tg.sum(tg.tensor(random.normal(size=y.shape), y.dtype) * (y + 0.1 * y * y))
        for y in leaves
        if y.requires_grad
    ]
    return functools.reduce(tg.add, terms) if terms else None


def orders(make, compiled, count, **options):
    """All residuals of a scan up to an order, each order those of a number of the one before."""
    cell, parameters, xs, state = make(cells.Maker("float64", 3, 4))
    leaves = [x for x in tree.leaves((parameters, xs, state)) if x.requires_grad]
    found = [
        y for y in tree.leaves(tg.scan(cell, xs, state, compiled=compiled, **options)) if y.dtype.kind == "f"
    ]
    values = []
    for order in range(count):
        number = weighted(found, order)
        if number is None:
            break
        found = tg.gradients(number, leaves, create_graph=order + 1 < count)
        values += [y.numpy() for y in found]
    return values


def same(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10 * max(1.0, np.abs(b).max(initial=0)))


@pytest.mark.parametrize("make", some([*cells.ALL, *cells.FORMULAS], 3), ids=lambda make: make.__name__)
def test_second_order(make, never_step_by_step):
    same(orders(make, "auto", 2), orders(make, False, 2))


OPTIONS = {
    "backwards": {"reverse": True},
    "lengths": {"lengths": [3, 1, 2]},
    "a mask": {"mask": np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 1]], bool)},
    "outputs repeated": {"lengths": [3, 1, 2], "masked_output": "previous"},
    "in segments": {"checkpoint": 2},
}
"""Of four steps of three samples."""


@pytest.mark.each_value
@pytest.mark.parametrize(
    "make",
    [cells.peephole_by_hand, cells.layer_norm, cells.attention_per_sample],
    ids=lambda make: make.__name__,
)
@pytest.mark.parametrize("name", OPTIONS)
def test_third_order(make, name, never_step_by_step):
    options = OPTIONS[name]
    same(
        orders(make, True, 3, **options),
        orders(make, False, 3, **{k: v for k, v in options.items() if k != "checkpoint"}),
    )


@pytest.mark.each_value
@pytest.mark.parametrize("kind", [tg.nn.RNN, tg.nn.LSTM, tg.nn.GRU, tg.nn.PeepholeLSTM])
@pytest.mark.parametrize("lengths", [None, [5, 2, 4]])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_forward_mode_and_hessians_of_layers(kind, lengths, bidirectional, never_step_by_step, rng):
    """Tangents, forward over reverse and reverse over forward, beside the loop."""
    layer = kind(4, 3, dtype="float64", bidirectional=bidirectional)
    x, v = (tg.tensor(rng.normal(size=(5, 3, 4))) for _ in range(2))
    results = []
    for compiled in (True, False):
        for cell in (run for row in layer.layers for run in row):
            cell.options["compiled"] = compiled

        def number(x):
            y, state = layer(x, lengths=lengths)
            return tg.sum(tg.sin(y)) + sum((tg.sum(leaf * leaf) for leaf in tree.leaves(state)), 0.0)

        y, t = tg.jvp(number, x, v)
        back = tg.grad(lambda x: tg.jvp(number, x, v)[1])(x)
        results.append([y.numpy(), t.numpy(), tg.hvp(number, x, v).numpy(), back.numpy()])
    same(*results)


def test_a_gradient_penalty_trains(never_step_by_step, rng):
    """The weights get the residuals of a loss that holds a gradient."""
    x, found = tg.tensor(rng.normal(size=(6, 2, 3))), []
    for compiled in (True, False):
        tg.random.seed(1)
        layer = tg.nn.LSTM(3, 4, dtype="float64", compiled=compiled)
        z = tg.tensor(x.numpy(), requires_grad=True)
        y, _ = layer(z)
        (g,) = tg.gradients(tg.sum(y * y), [z], create_graph=True)
        (tg.sum(y) + tg.sum(g * g)).backward()
        found.append([p.grad.numpy() for p in layer.parameters()])
    same(*found)


def test_what_the_cell_stops_has_no_tangent(never_step_by_step, rng):
    W, x, v = (tg.tensor(rng.normal(size=shape)) for shape in ((3, 3), (4, 2, 3), (4, 2, 3)))

    def number(x, compiled):
        def cell(x, h):
            h = tg.tanh((x * x).detach() @ W + h + x)
            return h, h

        return tg.sum(tg.scan(cell, x, tg.zeros((2, 3), dtype="float64"), compiled=compiled)[0] ** 2)

    tangents = [tg.jvp(lambda x: number(x, compiled), x, v)[1].item() for compiled in (True, False)]  # noqa: B023
    assert tangents[0] == pytest.approx(tangents[1], rel=1e-12)


@pytest.mark.parametrize("output", [True, False])
@pytest.mark.parametrize("weight", [True, False])
def test_cells_that_read_nothing_of_the_input(weight, output, never_step_by_step, rng):
    """The loops of the derivative have as many steps as the scan, though no input says so."""
    W, first = (
        tg.tensor(rng.normal(size=(3, 3)) * 0.5, requires_grad=True),
        tg.tensor(rng.normal(size=(2, 3)), requires_grad=True),
    )
    leaves = [first, W] if weight else [first]

    def cell(x, h):
        h = tg.tanh(h @ W) if weight else h * 0.5
        return (h if output else tg.ones((2,))), h

    found = []
    for compiled in (True, False):
        ys, last = tg.scan(cell, tg.zeros((7, 2, 3), dtype="float64"), first, compiled=compiled)
        gradients = tg.gradients(tg.sum(ys * ys) + tg.sum(last * last * last), leaves, create_graph=True)
        penalty = functools.reduce(tg.add, [tg.sum(g * g) for g in gradients])
        found.append([g.numpy() for g in tg.gradients(penalty, leaves)])
    same(*found)


@pytest.mark.parametrize("where", ["a product", "a transpose", "both sides"])
def test_second_derivatives_stop_where_the_cell_stops_them(where, rng):
    """What is taken out of the loop passes no residual on where the cell's code lets none pass."""
    x, W, U = (tg.tensor(rng.normal(size=shape)) for shape in ((5, 2, 3), (3, 4), (4, 4)))

    def penalty(compiled):
        leaves = [tg.tensor(leaf.numpy(), requires_grad=True) for leaf in (x, W, U)]
        a, w, u = leaves

        def cell(step, h):
            with tg.no_grad():
                turned = (w * 1.0).T
                fixed = step @ w if where == "a product" else step @ turned.T
            part = step @ turned.T if where == "a transpose" else fixed
            h = tg.tanh(part * tg.sin(step @ w) + 0.3 * h @ u)
            return h, h

        ys, _ = tg.scan(cell, a, tg.zeros((2, 4), "float64"), compiled=compiled)
        first = tg.gradients(tg.sum(ys**2), leaves, create_graph=True)
        return [*first, *tg.gradients(sum(tg.sum(g**2) for g in first), leaves)]

    for found, expected in zip(penalty(True), penalty(False), strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-9, atol=1e-9)
