"""One run for many values equals a run for each: of every row, and of Jacobians through layers and cells."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.covering import some
from tinygrad_rnn import batches, chain_rule, tree
from tinygrad_rnn.selfcheck.cells import BUILT_IN, WRITTEN, Maker
from tinygrad_rnn.selfcheck.cells.published import PUBLISHED
from tinygrad_rnn.selfcheck.operands import SAMPLES
from tinygrad_rnn.sequence import batched
from tinygrad_rnn.sequence.run import CompiledScan
from tinygrad_rnn.tape import apply

COUNT = 3
ROWS = {row.name: row for row in (*chain_rule.rows.values(), *chain_rule.choices.values())}


@pytest.fixture
def _all_together(monkeypatch):
    """However few values there are."""
    monkeypatch.setattr(batches, "LEAST", 1)
    monkeypatch.setattr(batched, "WORTHWHILE", 0)


def one_by_one(f, *x, argnums=0):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "LEAST", 1 << 60)
        return tg.jacobian(f, argnums)(*x).numpy()


def varied(x, i):
    """Another array of the same kind; floats keep their order and their sign."""
    return x * (1 + 0.125 * i) if x.dtype.kind == "f" else x


# -- rows ----------------------------------------------------------------------------------------------------


@pytest.mark.measured
@pytest.mark.numpy_only
@pytest.mark.parametrize("name", SAMPLES)
def test_a_row_for_many_values(name):
    row = ROWS[name]
    for operands, params in SAMPLES[name]:
        xs = [np.asarray(x) for x in operands]
        for marked in itertools.product((False, True), repeat=len(xs)):
            if not any(mark and x.dtype.kind == "f" for x, mark in zip(xs, marked, strict=True)):
                continue
            values = [[tg.tensor(varied(x, i)) for i in range(COUNT)] for x in xs]
            expected = [
                apply(row, [v[i] if mark else v[0] for v, mark in zip(values, marked, strict=True)], params)
                for i in range(COUNT)
            ]
            together = [tg.stack(v) if mark else v[0] for v, mark in zip(values, marked, strict=True)]
            found = batches.run(row, together, marked, params, COUNT)
            for i, wanted in enumerate(expected):
                for y, z in zip(found, wanted if row.several else (wanted,), strict=True):
                    np.testing.assert_allclose(y.numpy()[i], z.numpy(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "params"),
    [("argmax", (1,)), ("argmin", (0,)), ("argsort", (1,)), ("all", ((0, 1),)), ("any", ((1,),))],
)
def test_a_choice_for_many_values(name, params):
    many = np.random.default_rng(0).normal(size=(COUNT, 4, 5))
    many = many > 0 if name in ("all", "any") else many
    (y,) = batches.run(ROWS[name], [tg.tensor(many)], [True], params, COUNT, constant=True)
    assert np.array_equal(y.numpy(), [getattr(np, name)(one, params[0]) for one in many])


def test_few_rows_have_no_rule():
    without = {name for name, row in ROWS.items() if not row.elementwise and row.batching is None}
    assert without == {"solve", "det", "searchsorted"}


# -- Jacobians -----------------------------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=(2, 3, 4))
W = np.random.default_rng(1).normal(size=(4, 5))
FUNCTIONS = {
    "a product": lambda x: tg.tanh(x @ tg.tensor(W)),
    "on both sides": lambda x: x @ tg.swapaxes(x, -1, -2),
    "reductions": lambda x: tg.concatenate(
        [tg.sum(x, 1).reshape(-1), tg.mean(x, (0, 2)), tg.max(x, 2).reshape(-1), tg.std(x, 0).reshape(-1)]
    ),
    "axes": lambda x: tg.roll(tg.flip(tg.transpose(x, (2, 0, 1)), 1), 1, 0)[1:, None] * 2,
    "indices": lambda x: x[[1, 0, 0], :, [2, 3, 0]] * tg.take(x, [0, 2, 1], 1)[0, :, :3],
    "a truth as an index": lambda x: x[True, :, 0] * x[None, :, True, 1],
    "a mask": lambda x: tg.where(x > 0, x * x, 0.1 * x),
    "joins": lambda x: (
        tg.stack(tg.split(tg.concatenate([x, x * 2], 1), 3, 1))
        + tg.pad(x, ((0, 0), (0, 0), (1, 1)))[:, :2, 1:5]
    ),
    "softmax": lambda x: tg.log_softmax(x) + tg.cumsum(x, 2),
    "of no use": lambda x: tg.tensor(W, requires_grad=True) * 2,
    "a part of no use": lambda x: tg.concatenate(
        [x.reshape(-1), tg.tensor(W, requires_grad=True).reshape(-1)]
    ),
    "called": lambda x: tg.linalg.inv(x[:, :, :3] + 4 * tg.eye(3, dtype="float64")) + tg.sort(x, 2)[:, :, :3],
    "run again": tg.checkpoint(lambda x: tg.sin(x) * tg.sum(x)),
    "losses": lambda x: tg.cross_entropy(x.reshape(6, 4), [0, 1, 2, 3, 0, 1], reduction="none"),
}


@pytest.mark.both_backends
@pytest.mark.usefixtures("_all_together")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_jacobian_is_what_it_is_row_by_row(backend, name):
    f, x = FUNCTIONS[name], tg.tensor(X)
    expected = one_by_one(f, x)
    np.testing.assert_allclose(tg.jacobian(f)(x).numpy(), expected, rtol=1e-12, atol=1e-13)
    assert expected.any() == (name != "of no use")


@pytest.mark.peer
@pytest.mark.usefixtures("_all_together")
def test_against_torch():
    torch = pytest.importorskip("torch")
    x, w = torch.tensor(X), torch.tensor(W)
    expected = torch.autograd.functional.jacobian(lambda x: torch.softmax(torch.tanh(x @ w), -1) * x.sum(), x)
    found = tg.jacobian(lambda x: tg.softmax(tg.tanh(x @ tg.tensor(W))) * tg.sum(x))(tg.tensor(X))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("_all_together")
def test_derivatives_of_a_jacobian(backend):
    x = tg.tensor(X[0])

    def f(x):
        return tg.tanh(x @ tg.tensor(W)) * tg.sum(x * x)

    np.testing.assert_allclose(
        tg.jacobian(tg.jacobian(f))(x).numpy(), one_by_one(tg.jacobian(f), x), rtol=1e-11, atol=1e-12
    )
    np.testing.assert_allclose(
        tg.hessian(lambda x: tg.sum(tg.sin(f(x))))(x).numpy(),
        one_by_one(tg.grad(lambda x: tg.sum(tg.sin(f(x)))), x),
        atol=1e-11,
    )
    outside = tg.tensor(2.0, "float64", requires_grad=True)
    tg.sum(tg.jacobian(lambda x: f(x * outside))(x)).backward()
    assert abs(outside.grad.item()) > 1e-3


@pytest.mark.usefixtures("_all_together")
def test_where_a_slope_is_infinite_a_residual_of_0_stays_0(backend):
    x = tg.tensor(np.array([0.0, 1.0, 4.0, 0.0]))
    found = tg.jacobian(lambda x: tg.where(x > 0, tg.sqrt(x), 0.0))(x).numpy()
    np.testing.assert_array_equal(found, np.diag([0, 0.5, 0.25, 0]))


HIDDEN = {
    "of a sample that is cut away": lambda x: tg.softmax(
        (tg.tensor([[1, np.nan], [0.3, 0.4], [0.5, 0.1], [0.2, 0.9], [1, 1]]) @ x)[1:], -1
    ),
    "of a row whose residuals cancel": lambda x: (lambda r: tg.concatenate([r, -r]))(
        (tg.tensor([[1, np.nan], [3, 4], [1, 1]]) @ x)[1:]
    ),
    "behind a choice": lambda x: (lambda r: tg.concatenate([r, -r]))(
        tg.where(x[0] > 0, tg.sqrt(x[0] * [0, 1]), 0.0)
    ),
    "of an infinite matrix": lambda x: (
        lambda h: (lambda r: tg.concatenate([r, -r]))(tg.where(tg.isfinite(h), h, 0))
    )(x @ tg.tensor([[1, 2], [2, np.inf]])),
}


@pytest.mark.usefixtures("_all_together")
@pytest.mark.parametrize("name", HIDDEN)
def test_what_hides_a_nan_hides_it_for_each_residual(backend, name):
    """Whether a residual is 0 is asked of each, and not of their sum, which may be 0 where they are not."""
    x = tg.tensor(np.array([[1.0, 2.0], [3.0, 4.0]]))
    np.testing.assert_array_equal(tg.jacobian(HIDDEN[name])(x).numpy(), one_by_one(HIDDEN[name], x))


@pytest.mark.usefixtures("_all_together")
def test_gradients_of_each_sample(backend):
    random = np.random.default_rng(5)
    x, y, w = (tg.tensor(random.normal(size=shape)) for shape in ((6, 4), (6, 2), (4, 2)))

    def losses(w):
        return tg.mean((tg.tanh(x @ w) - y) ** 2, axis=1)

    found = tg.jacobian(losses)(w).numpy()
    for i in range(6):
        np.testing.assert_allclose(
            found[i], tg.grad(lambda w, i=i: losses(w)[i])(w).numpy(), rtol=1e-12, atol=1e-14
        )


@pytest.mark.parametrize(
    ("size", "largest", "expected"),
    [(8, 1, 8), (64, 1, 64), (65, 1, 33), (200, 1, 50), (64, 1 << 22, 32), (64, 1 << 25, None)],
)
def test_as_many_together_as_there_is_memory_for(size, largest, expected):
    x = tg.tensor(np.zeros(largest // 8 or 1), requires_grad=True)
    assert batches.at_a_time(size, x * 2) == expected


@pytest.mark.usefixtures("_all_together")
def test_more_elements_than_are_run_together(backend, monkeypatch):
    x = tg.tensor(X)
    expected = one_by_one(FUNCTIONS["on both sides"], x)
    for most in (1, 5, 17, 18):
        monkeypatch.setattr(batches, "MOST", most)
        np.testing.assert_allclose(tg.jacobian(FUNCTIONS["on both sides"])(x).numpy(), expected, rtol=1e-12)


@pytest.mark.usefixtures("_all_together")
def test_who_looks_on_sees_each_pass(backend):
    x = tg.tensor(X)
    with tg.detect_anomaly():
        np.testing.assert_array_equal(
            tg.jacobian(FUNCTIONS["softmax"])(x).numpy(), one_by_one(FUNCTIONS["softmax"], x)
        )


# -- scans ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_all_together")
@pytest.mark.parametrize("make", some([*BUILT_IN, *WRITTEN], 8), ids=lambda make: make.__name__)
def test_through_a_cell(make):
    cell, _, xs, state = make(Maker("float64", 2, 3))
    leaves = [x for x in tree.leaves((xs, state)) if x.dtype.kind == "f" and x.size]
    assert leaves

    for leaf in (leaves[0], leaves[-1]):

        def f(z, leaf=leaf):
            """Of one of the leaves, in its place."""
            inputs, first = tree.map_leaves(lambda x: z if x is leaf else x, (xs, state))
            return _first_floats(tg.scan(cell, inputs, first))

        if f(leaf).requires_grad:
            np.testing.assert_allclose(
                tg.jacobian(f)(leaf).numpy(), one_by_one(f, leaf), rtol=1e-10, atol=1e-12
            )


def _first_floats(results):
    return tg.concatenate([tg.reshape(y, (-1,)) for y in tree.leaves(results) if y.dtype.kind == "f"])[:9]


@pytest.mark.usefixtures("_all_together")
@pytest.mark.parametrize("make", some(BUILT_IN, 3), ids=lambda make: make.__name__)
def test_by_the_weights_of_a_cell(make):
    cell, _, xs, state = make(Maker("float64", 2, 3))
    for name, weight in list(cell.named_parameters()):

        def f(w, name=name):
            setattr(cell, name, w)
            return _first_floats(tg.scan(cell, xs, state))

        found, expected = tg.jacobian(f)(weight).numpy(), one_by_one(f, weight)
        assert expected.any()
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
        setattr(cell, name, weight)


@pytest.mark.usefixtures("_all_together")
@pytest.mark.parametrize("name", some(PUBLISHED, 16))
def test_through_a_published_cell(name):
    cell = PUBLISHED[name]
    xs, state, weights = cell.draw(Maker("float64", 3, 5))
    key = next(key for key, w in weights.items() if isinstance(w, tg.Tensor) and w.requires_grad)

    def f(w):
        run = next(iter(cell.spellings.values()))
        results = tree.leaves(
            run(functools.partial(tg.scan, compiled="auto"), xs, state, **{**weights, key: w})
        )
        return tg.concatenate([tg.reshape(y, (-1,))[-4:] for y in results if y.dtype.kind == "f"])[:9]

    expected = one_by_one(f, weights[key])
    np.testing.assert_allclose(
        tg.jacobian(f)(weights[key]).numpy(), expected, rtol=1e-8, atol=1e-10 * max(1, np.abs(expected).max())
    )


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "PeepholeLSTM"])
def test_one_scan_for_all_residuals(kind, monkeypatch):
    layer = getattr(tg.nn, kind)(3, 8, dtype="float64", num_layers=2, bidirectional=True)
    x = tg.tensor(np.random.default_rng(3).normal(size=(40, 2, 3)))

    def f(x):
        return layer(x)[0][-1]

    expected, scans, forward = one_by_one(f, x), [], CompiledScan.forward
    monkeypatch.setattr(
        CompiledScan, "forward", lambda self, operands: scans.append(1) or forward(self, operands)
    )
    found = tg.jacobian(f)(x)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-13)
    # for each layer: itself, again for its derivative, that, and that for all residuals
    assert len(scans) == 4 * 4


@pytest.mark.both_backends
@pytest.mark.usefixtures("_all_together")
@pytest.mark.parametrize("options", [{"lengths": [5, 2]}, {"checkpoint": 2}, {"compiled": False}], ids=str)
def test_all_go_together_however_a_scan_is_run(backend, options, monkeypatch):
    lengths, together, along = options.get("lengths"), [], batches.along
    layer = tg.nn.GRU(
        3, 4, dtype="float64", **{key: value for key, value in options.items() if key != "lengths"}
    )
    x = tg.tensor(np.random.default_rng(3).normal(size=(5, 2, 3)))

    def f(x):
        return layer(x, lengths=lengths)[0][1:]

    def noted(*given):
        together.append(along(*given))
        return together[-1]

    expected = one_by_one(f, x)
    monkeypatch.setattr(batches, "along", noted)
    np.testing.assert_allclose(tg.jacobian(f)(x).numpy(), expected, rtol=1e-10, atol=1e-13)
    assert together
