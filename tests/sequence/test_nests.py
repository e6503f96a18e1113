"""Plans as loop nests: every cell, also those that are rows of a batch, on threads that share the samples."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.covering import seeds, some
from tests.sequence import random_cells
from tests.sequence.compare import compare
from tests.sequence.random_programs import difference
from tinygrad_rnn.selfcheck import cells, sequences
from tinygrad_rnn.sequence.nested import NestPlan

pytestmark = pytest.mark.machine_code


@pytest.mark.parametrize("make", some([*cells.ALL, *cells.FORMULAS], 3, 2), ids=lambda make: make.__name__)
def test_every_cell(make, nests):
    facts = sequences.agrees(make, "numpy", "float64", 6, 5)
    assert facts["error"] <= facts["tolerance"]
    assert len(nests) > 0


@pytest.mark.parametrize("first", seeds(60, daily=2, step=15))
def test_random_cells_of_rows(first, nests, monkeypatch):
    monkeypatch.setattr(random_cells, "BATCH", 9)
    for number in range(first, first + 15):
        assert not random_cells.difference(number), number
    assert sum(isinstance(plan, NestPlan) and plan.samples > 1 for plan in nests) > len(nests) // 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [1, 2, 4, 7, 8, 16, 33, 64, 200])
def test_products_of_a_single_row(width, dtype):
    """Sums in several chains where the columns are few, and tiles that are wider than for more rows."""
    rng = np.random.default_rng(width)
    weights = {name: rng.normal(size=(width, n)) / width for name, n in (("u", width), ("v", 3 * width))}
    u, v = (tg.tensor(w.astype(dtype), requires_grad=True) for w in weights.values())

    def cell(x, h):
        y = tg.tanh(x + h @ u)
        return y @ v, y

    x = tg.tensor(rng.normal(size=(5, 1, width)).astype(dtype), requires_grad=True)
    ys, last = tg.scan(cell, x, tg.zeros((1, width), dtype), compiled=True)
    found = [ys, last, *tg.gradients(tg.sum(ys * ys) + tg.sum(last), [x, u, v])]
    ys, last = tg.scan(cell, x, tg.zeros((1, width), dtype), compiled=False)
    expected = [ys, last, *tg.gradients(tg.sum(ys * ys) + tg.sum(last), [x, u, v])]
    for a, b in zip(found, expected, strict=True):
        tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype] * max(1, float(np.abs(b.numpy()).max()))
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("first", seeds(100, daily=2, step=20))
def test_random_programs(first):
    """``python -m tests.sequence.random_programs 1000`` tries more."""
    for number in range(first, first + 20):
        assert not difference(number), number


def _attends(memory, weights):
    def cell(x, h):
        scores = tg.softmax(tg.einsum("bd,bld->bl", h @ weights, memory), axis=1)
        h = tg.tanh(x + tg.einsum("bl,bld->bd", scores, memory))
        return h, h

    return cell


def _mixes(memory, weights):
    def cell(x, h):  # heads: two axes that are not summed
        parts = tg.reshape(h @ weights, (3, 2, 4))
        h = tg.tanh(x + tg.reshape(tg.einsum("bhi,bhij->bhj", parts, memory), (3, 8)))
        return h, h

    return cell


@pytest.mark.parametrize(("make", "shape"), [(_attends, (3, 9, 8)), (_mixes, (3, 2, 4, 4))])
@pytest.mark.parametrize(
    "options",
    [{}, {"reverse": True}, {"checkpoint": 3}, {"lengths": [7, 0, 4]}],
    ids=lambda options: "".join(options),
)
def test_what_each_sample_weights_by_gets_one_product_over_all_steps(make, shape, options):
    rng = np.random.default_rng(3)
    memory, weights, x = (
        tg.tensor(rng.normal(size=s), requires_grad=True) for s in (shape, (8, 8), (7, 3, 8))
    )
    cell, outcomes = make(memory, weights), []
    for how in (True, False):
        ys, _ = tg.scan(cell, x, tg.zeros((3, 8), "float64"), compiled=how, **options)
        outcomes.append(
            [ys.numpy(), *(g.numpy() for g in tg.gradients(tg.sum(ys * ys), [memory, weights, x]))]
        )
        if how:
            assert "after      2 weight" in tg.explain(cell) or "after      3 weight" in tg.explain(cell)
    for found, expected in zip(*outcomes, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("spelling", ["bhi,hij->bhj", "bhi,hij->hbj", "hib,hij->bhj"])
def test_what_is_summed_over_samples_is_a_threads_own(spelling, nests, rng):
    """The weight's residual is a sum over samples, of which each thread makes a part."""
    W = tg.tensor(rng.normal(size=(2, 5, 5)), requires_grad=True)

    def cell(x, h):
        first, _, last = spelling.partition(",")[0], None, spelling[-3:]
        turned = tg.transpose(h, [("bhi").index(a) for a in first])
        n = tg.transpose(tg.einsum(spelling, turned, W), [last.index(a) for a in "bhj"])
        return tg.tanh(n + x), tg.tanh(n + x)

    xs = tg.tensor(rng.normal(size=(7, 9, 2, 5)), requires_grad=True)
    for _ in range(2):
        compare("numpy", cell, [xs, W], xs, tg.zeros((9, 2, 5), dtype="float64"))


SHARED = {
    "rows": lambda h, W: h @ W,
    "an axis of places": lambda h, W: tg.reshape(tg.reshape(h, (-1, 5)) @ W, h.shape),
    "an index of arrays": lambda h, W: h[:, [2, 0, 1, 1]][:, :3] @ W,
    "places side by side": lambda h, W: tg.reshape(tg.reshape(h, (-1, 15))[:, ::-1], h.shape) @ W,
    "a mean of each": lambda h, W: (
        h - tg.reshape(tg.mean(tg.reshape(h, (-1, 5)), axis=1, keepdims=True), (-1, 3, 1)) * W[0]
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_threads_share_samples_of_several_places(name, nests, rng):
    W = tg.tensor(rng.normal(size=(5, 5)) * 0.4, requires_grad=True)

    def cell(x, h):
        h = tg.tanh(SHARED[name](h, W) + x)
        return h, h

    xs = tg.tensor(rng.normal(size=(4, 9, 3, 5)), requires_grad=True)
    compare("numpy", cell, [xs, W], xs, tg.zeros((9, 3, 5), dtype="float64"))
    assert all(plan.samples == 9 for plan in nests)


def test_what_lets_samples_see_each_other_is_said(nests, rng):
    def cell(x, h):
        h = tg.tanh(x + h[::-1])
        return h, h

    tg.scan(cell, tg.tensor(rng.normal(size=(4, 9, 3))), tg.zeros((9, 3), dtype="float64"), compiled=True)
    assert "on one thread, since getitem lets samples see each other" in tg.explain(cell)
