"""One step at a time: the numbers of the whole sequence, whatever happens between the steps."""

from __future__ import annotations

import copy
import gc
import pickle
import threading

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.covering import some
from tinygrad_rnn import nn, optim, tree
from tinygrad_rnn.backends.native import thresholds
from tinygrad_rnn.selfcheck import cells
from tinygrad_rnn.sequence import single_step

pytestmark = pytest.mark.machine_code
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


@pytest.mark.parametrize("make", some([*cells.ALL, *cells.FORMULAS], 3, 1), ids=lambda make: make.__name__)
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


def _replaced_in_a_module():
    layer = nn.LSTM(N, 5)
    cell = layer.layers[0][0].cell
    return layer, lambda: setattr(cell, "weight_hh", nn.Parameter(cell.weight_hh.data * 0))


def _replaced_by_its_public_name():
    layer = nn.GRU(N, 5)
    return layer, lambda: setattr(layer, "bias_ih_l0", nn.Parameter(layer.bias_ih_l0.data + 1))


def _replaced_in_a_list():
    weights = [tg.tensor(np.eye(N, dtype="float32")), tg.tensor(np.eye(N, dtype="float32"))]

    def cell(x, h):
        h = tg.tanh(x @ weights[0] + h @ weights[1])
        return h, h

    return _with_zeros(cell), lambda: weights.__setitem__(1, weights[1] * 2)


def _replaced_in_a_closure():
    U = tg.tensor(np.eye(N, dtype="float32"))

    def cell(x, h):
        h = tg.tanh(x + h @ U)
        return h, h

    def replace():
        nonlocal U
        U = U * 3

    return _with_zeros(cell), replace


def _replaced_in_a_class():
    class Cell:
        U = tg.tensor(np.eye(N, dtype="float32"))
        state_size = N

        def __call__(self, x, h):
            h = tg.tanh(x + h @ self.U)
            return h, h

    return nn.Recurrent(Cell()), lambda: setattr(Cell, "U", Cell.U * 3)


def _replaced_whole():
    """Not the tensor: what holds it."""

    class Cell:
        state_size = N

        def __init__(self):
            self.parts = {"inner": nn.Linear(N, N)}

        def __call__(self, x, h):
            h = tg.tanh(x + self.parts["inner"](h))
            return h, h

    cell = Cell()
    return nn.Recurrent(cell), lambda: cell.parts.update(inner=nn.Linear(N, N))


def _with_zeros(cell):
    class Layer:
        def __call__(self, x, state=None):
            return tg.scan(cell, x, tg.zeros((B, N)) if state is None else state)

        def stepper(self):
            return nn.Recurrent(cell).stepper(tg.zeros((B, N)))

    return Layer()


@pytest.mark.parametrize(
    "make",
    [_replaced_in_a_module, _replaced_by_its_public_name, _replaced_in_a_list, _replaced_in_a_closure,
     _replaced_in_a_class, _replaced_whole],
)  # fmt: skip
def test_a_weight_that_is_replaced(make, rng):
    """What the cell reads is what it reads in the layer, whichever object holds it by now."""
    layer, replace = make()
    stepper, state = layer.stepper(), None
    x = tg.tensor(rng.normal(size=(B, N)).astype("float32"))
    for step in range(4):
        if step == 2:
            replace()
        with tg.no_grad():
            y, state = layer(tg.expand_dims(x, 0), state)
        close(stepper(x), y[0])
        close(stepper.state, state)


@pytest.mark.parametrize("shape", [(N,), (1, 1, N), (B, N + 1), (B + 1, N), (1, N)])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_a_step_that_does_not_fit_changes_nothing(shape, begun, given, rng):
    layer = nn.LSTM(N, 5, num_layers=2)
    state = (tg.zeros((2, B, 5)), tg.zeros((2, B, 5))) if given else None
    stepper, twin = layer.stepper(state), layer.stepper(state)
    if not (given or begun) and shape[1:] == (N,):
        shape = (B, N + 2)  # as a first step of any number of samples it would do
    x = rng.normal(size=(B, N)).astype("float32")
    if begun:
        close(stepper(x), twin(x))
    with pytest.raises(tg.ShapeError):
        stepper(np.ones(shape, "float32"))
    close(stepper.state or [], twin.state or [])
    close(stepper(x), twin(x))


def test_a_cell_may_not_change_its_state():
    def cell(x, h):
        h = tg.tanh(x + h)
        return h, h

    stepper = nn.Recurrent(cell).stepper(tg.zeros((B, N)))
    with pytest.raises(tg.DtypeError):
        stepper(np.ones((B, N)))
    with pytest.raises(tg.ShapeError):
        nn.Recurrent(cell).stepper(tg.zeros((1, N)))(np.ones((B, N), "float32"))


def test_begin_again(rng):
    layer = nn.LSTM(N, 5)
    xs = rng.normal(size=(3, B, N)).astype("float32")
    stepper = layer.stepper()
    first = [stepper(x).numpy() for x in xs]
    bound = stepper._bound
    stepper.reset()
    close([stepper(x) for x in xs], [*map(tg.tensor, first)])
    state = tuple(tg.tensor(rng.normal(size=(1, B, 5)).astype("float32")) for _ in range(2))
    stepper.reset(state)
    close(stepper.state, state)
    close(stepper(xs[0]), layer.stepper(state)(xs[0]))
    assert stepper._bound is bound  # nothing is compiled anew
    with pytest.raises(tg.ShapeError):
        stepper.reset((state[0], state[1][:, :, :2]))


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_a_copy_goes_on_by_itself(steps, how, rng):
    layer = nn.LSTM(N, 5)
    xs = rng.normal(size=(5, B, N)).astype("float32")
    stepper = layer.stepper()
    for x in xs[:steps]:
        stepper(x)
    other = how(stepper)
    for x in xs[steps:]:
        other(x)
    twin = layer.stepper()
    for x in xs[:steps]:
        twin(x)
    close([stepper(x) for x in xs[steps:]], [twin(x) for x in xs[steps:]])
    close(other.state, stepper.state)


def test_one_that_cannot_be_bound_is_not_tried_again(monkeypatch):
    layer = nn.Recurrent(lambda x, h: (h, h) if tg.sum(h).item() > 0 else (-h, h))
    stepper = layer.stepper(tg.zeros((B, N)))
    tries, bind = [], stepper._bind
    monkeypatch.setattr(stepper, "_bind", lambda *given: (tries.append(1), bind(*given)))
    for _ in range(4):
        stepper(tg.zeros((B, N)))
    assert len(tries) == 1


def test_it_says_that_it_compares_weights():
    layer = nn.LSTM(N, 5)
    stepper = layer.stepper()
    stepper(tg.zeros((B, N)))
    assert stepper.explain() == "machine code"
    kept = layer.weight_hh_l0.data
    stepper(tg.zeros((B, N)))
    assert stepper.explain().startswith("machine code; weights whose .data was read are compared")
    state = stepper.state
    kept *= 0
    close(stepper(tg.zeros((B, N))), layer(tg.zeros((1, B, N)), state)[0][0])


def test_single_steps_of_layers_that_are_gone_are_forgotten():
    """What is bound holds copies of the weights: it goes with them."""
    for _ in range(3):
        layer = nn.LSTM(N, 7)
        with tg.no_grad():
            layer(tg.zeros((1, B, N)))
    del layer
    gc.collect()
    with tg.no_grad():
        last = nn.LSTM(N, 7)
        for _ in range(2):
            last(tg.zeros((1, B, N)))
    steps = [step for _, step in single_step._steps.values() if isinstance(step, single_step.BoundStep)]
    assert steps
    assert all(step.weights.lives() for step in steps)


def test_a_state_without_axes_stays_an_array():
    stepper = nn.Recurrent(lambda x, h: (x + h, h + tg.sum(x))).stepper(tg.tensor(0.5))
    stepper(tg.ones(3))
    assert stepper.explain() == "machine code"
    assert stepper.state.numpy().shape == ()
    assert stepper.state.item() == 3.5


def test_zoneout_after_training_is_what_it_is_in_expectation(rng):
    """Also where the layer was never called in evaluation."""
    layer, x = nn.GRU(N, 5, num_layers=2, zoneout=0.3), tg.tensor(rng.normal(size=(T, B, N)), "float32")
    with pytest.raises(tg.ArgumentError, match="eval"):
        layer.stepper()
    stepper = layer.eval().stepper()
    found = [stepper(x[t]) for t in range(T)]
    ys, last = layer(x)
    close(found, [ys[t] for t in range(T)])
    close(stepper.state, last)


def test_no_state_at_all_is_none_of_a_layer():
    with pytest.raises(tg.ShapeError, match="the state is 2 tensors"):
        nn.LSTM(3, 4).stepper([])
