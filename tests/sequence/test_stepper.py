"""One step at a time: the numbers of the whole sequence, whatever happens between the steps."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from compare import machine_code

import tinygrad_rnn as tg
from tinygrad_rnn import nn, optim, tree
from tinygrad_rnn.backends.native import thresholds
from tinygrad_rnn.selfcheck import cells

pytestmark = [pytest.mark.one_backend, machine_code]
T, B, N = 6, 3, 4


@pytest.fixture(params=[False, True], ids=["alone", "threads"])
def shared(request, monkeypatch):
    """One thread, and several that share nine samples."""
    if request.param:
        monkeypatch.setattr(thresholds, "PARALLEL_FORWARD_MIN_WORK", -1)
    return 9 if request.param else B


def close(found, expected):
    for a, b in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU, nn.PeepholeLSTM])
def test_layers(kind, layers, shared, rng):
    layer, x = kind(N, 5, num_layers=layers), tg.tensor(rng.normal(size=(T, shared, N)), "float32")
    ys, last = layer(x)
    stepper = layer.stepper()
    close([stepper(x[t]) for t in range(T)], [ys[t] for t in range(T)])
    close(stepper.state, last)
    assert stepper.explain() == "machine code"
    more, end = layer(x, last)
    onwards = layer.stepper(last)
    close([onwards(x[t]) for t in range(T)], [more[t] for t in range(T)])
    close(onwards.state, end)


@pytest.mark.parametrize("make", [*cells.ALL, *cells.FORMULAS], ids=lambda make: make.__name__)
def test_any_cell(make):
    cell, _, xs, state = make(cells.Maker("float64", 3, 4))
    with tg.no_grad():
        ys, last = tg.scan(cell, xs, state, compiled=False)
    stepper = nn.Recurrent(cell).stepper(state)
    found = [stepper(tree.map_leaves(lambda x: x[t], xs)) for t in range(len(tree.leaves(xs)[0]))]  # noqa: B023
    for t, y in enumerate(found):
        for a, b in zip(tree.leaves(y), tree.leaves(ys), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy()[t], rtol=1e-10, atol=1e-12)
    close(stepper.state, last)


def test_one_step_of_a_scan_is_the_first_of_many(rng):
    layer, x = nn.LSTM(N, 5, num_layers=2), tg.tensor(rng.normal(size=(T, B, N)), "float32")
    ys, last = layer(x)
    state, found = None, []
    with tg.no_grad():
        for t in range(T):
            y, state = layer(x[t : t + 1], state)
            found.append(y)
    close(tg.concatenate(found), ys)
    close(state, last)


def test_new_weights_are_seen(rng):
    layer, x = nn.GRU(N, 5), tg.tensor(rng.normal(size=(B, N)), "float32")
    stepper, sgd = layer.stepper(), optim.SGD(layer.parameters(), 0.5)
    state = None
    for change in ("", "optimiser", "data", "in place", ""):
        if change == "optimiser":
            for p in layer.parameters():
                p.grad = tg.ones(p.shape)
            sgd.step()
        elif change == "data":
            layer.weight_hh_l0.data = layer.weight_hh_l0.numpy() * 0.5
        elif change == "in place":
            layer.weight_hh_l0.data[0] += 1
        with tg.no_grad():
            y, state = layer(tg.expand_dims(x, 0), state)
        close(stepper(x), y[0])
        close(stepper.state, state)


def test_what_it_is_given_and_gives_stays_as_it_is(rng):
    layer, x = nn.LSTM(N, 5), tg.tensor(rng.normal(size=(B, N)), "float32")
    _, state = layer(tg.expand_dims(x, 0))
    before = [leaf.numpy().copy() for leaf in tree.leaves(state)]
    stepper = layer.stepper(state)
    first = stepper(x)
    kept, seen = first.numpy().copy(), stepper.state
    held = [leaf.numpy().copy() for leaf in tree.leaves(seen)]
    second = stepper(x)
    assert not np.array_equal(first.numpy(), second.numpy())
    np.testing.assert_array_equal(first.numpy(), kept)
    for leaves, expected in ((tree.leaves(state), before), (tree.leaves(seen), held)):
        for leaf, array in zip(leaves, expected, strict=True):
            np.testing.assert_array_equal(leaf.numpy(), array)
    assert not first.requires_grad


def test_inputs_of_other_kinds(rng):
    layer = nn.RNN(N, 5)
    x = rng.normal(size=(B, N)).astype("float32")
    ours, theirs = layer.stepper(), layer.stepper()
    for given in (x, x.tolist(), x[:, ::-1].copy()[:, ::-1], tg.tensor(x)):
        close(ours(given), theirs(tg.tensor(np.asarray(given, "float32"))))
    with pytest.raises(tg.ShapeError):
        ours(x[:2])
    with pytest.raises(tg.ShapeError):
        ours(x[:, :2])
    close(ours(x), theirs(x))


def test_a_step_that_is_refused_is_not_taken():
    table = tg.tensor(np.arange(10.0).reshape(5, 2))

    def cell(k, h):
        h = h + tg.take(table, k, axis=0)
        return h, h

    stepper = nn.Recurrent(cell).stepper(tg.zeros((2, 2), dtype="float64"))
    stepper(tg.tensor([1, 2]))
    before = stepper.state.numpy()
    with pytest.raises(tg.IndexRangeError):
        stepper(tg.tensor([1, 5]))
    np.testing.assert_array_equal(stepper.state.numpy(), before)
    np.testing.assert_array_equal(stepper(tg.tensor([0, 4])).numpy(), before + np.array([[0, 1], [8, 9]]))


def test_a_cell_that_is_no_machine_code_goes_step_by_step(rng):
    def cell(x, h):
        h = tg.tanh(x + h)
        return (h if tg.sum(h).item() > 0 else -h), h

    xs = tg.tensor(rng.normal(size=(T, B, N)))
    ys, last = tg.scan(cell, xs, tg.zeros((B, N), dtype="float64"), compiled=False)
    stepper = nn.Recurrent(cell).stepper(tg.zeros((B, N), dtype="float64"))
    close([stepper(xs[t]) for t in range(T)], [ys[t] for t in range(T)])
    close(stepper.state, last)
    assert stepper.explain().startswith(
        "step by step: a cell that is being compiled cannot look at its values"
    )


def test_threads_with_a_stepper_each_and_scans_of_one_step(rng):
    layer, x = nn.LSTM(N, 5), tg.tensor(rng.normal(size=(T, B, N)), "float32")
    ys, _ = layer(x)
    wrong = []

    def run():
        for _ in range(20):
            stepper, state = layer.stepper(), None
            with tg.no_grad():
                for t in range(T):
                    y, state = layer(x[t : t + 1], state)
                    for found in (stepper(x[t]), y[0]):
                        if not np.allclose(found.numpy(), ys.numpy()[t], atol=1e-6):
                            wrong.append(t)

    workers = [threading.Thread(target=run) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_what_takes_no_single_steps():
    for layer in (
        nn.LSTM(3, 4, bidirectional=True),
        nn.GRU(3, 4, num_layers=2, dropout=0.5),
        nn.Recurrent(nn.GRUCell(3, 4), reverse=True),
    ):
        with pytest.raises(tg.ArgumentError, match=r"stepper: "):
            layer.stepper()
    nn.GRU(3, 4, num_layers=2, dropout=0.5).eval().stepper()(tg.zeros((1, 3)))
