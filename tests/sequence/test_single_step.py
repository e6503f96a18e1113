"""A scan of one step that is answered as the one before was: whatever has changed meanwhile counts."""

from __future__ import annotations

import copy
import functools
import gc
import weakref

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, optim, tree
from tinygrad_rnn.sequence import single_step

pytestmark = pytest.mark.machine_code
B, N = 2, 3
KINDS = {"RNN": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell, "peephole": nn.PeepholeLSTMCell}


def operands(cell, rng, batch=B, dtype="float32"):
    x = tg.tensor(rng.normal(size=(1, batch, N)), dtype)
    return x, tree.map_leaves(lambda n: tg.tensor(rng.normal(size=(batch, n)), dtype), cell.state_size)


def check(cell, x, state):
    """What a scan of one step returns is what the loop does."""
    with tg.no_grad():
        found, expected = tg.scan(cell, x, state), tg.scan(cell, x, state, compiled=False)
    for a, b in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype, a.requires_grad) == (b.shape, b.dtype, False)
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)
    assert tree.structure(found) == tree.structure(expected)


def replaced(cell):
    cell.weight_hh = nn.Parameter(-2 * cell.weight_hh.numpy())


def trained(cell):
    cell.weight_ih.grad = tg.ones(cell.weight_ih.shape)
    optim.SGD([cell.weight_ih], 0.5).step()


def written_into(cell):
    cell.weight_hh.data[:] = 0.7


def frozen(cell):
    cell.bias_hh.requires_grad_(False)


def without_bias(cell):
    cell.bias_ih = cell.bias_hh = None


def wider(cell):
    for name, parameter in list(cell.named_parameters()):
        setattr(cell, name, nn.Parameter(parameter.numpy().astype("float64")))


def of_other_class(cell):
    class Doubled(type(cell)):
        def __call__(self, x, state):
            y, state = super().__call__(x, state)
            return 2 * y, state

    cell.__class__ = Doubled


def with_more(cell):
    cell.note = [1, 2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change", [replaced, trained, written_into, frozen, without_bias, of_other_class, with_more]
)
def test_a_cell_that_changes_between_two_steps(kind, change, rng):
    cell = KINDS[kind](N, 4)
    for _ in range(3):
        check(cell, *operands(cell, rng))
    change(cell)
    for _ in range(3):
        check(cell, *operands(cell, rng))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_another_dtype(kind, rng):
    cell = KINDS[kind](N, 4)
    for dtype in ("float32", "float64"):
        for _ in range(2):
            check(cell, *operands(cell, rng, dtype=dtype))
        wider(cell)
    with pytest.raises(tg.DtypeError), tg.no_grad():
        tg.scan(cell, *operands(cell, rng))


def test_a_number_of_the_cell_that_changes(rng):
    cell = nn.LSTMCell(N, 4, cell_clip=0.5)
    for clip in (0.5, 0.1, None, 0.5):
        cell.cell_clip = clip
        for _ in range(2):
            check(cell, *operands(cell, rng))


def test_a_method_that_somebody_puts_in(rng, monkeypatch):
    cell = nn.GRUCell(N, 4)
    x, h = operands(cell, rng)
    check(cell, x, h)
    check(cell, x, h)
    monkeypatch.setattr(nn.GRUCell, "__call__", lambda self, x, h: (h + 1, h))
    with tg.no_grad():
        y, _ = tg.scan(cell, x, h)
    np.testing.assert_array_equal(y.numpy()[0], h.numpy() + 1)


NUMBERS = {"scale": 0.5}


class Scaled:
    def __init__(self):
        self.scale = 0.5

    def __call__(self, x, h):
        h = tg.tanh(x @ tg.ones((N, 4)) + self.scale * h)
        return h, h


def scaled(x, h):
    h = tg.tanh(x @ tg.ones((N, 4)) + NUMBERS["scale"] * h)
    return h, h


@pytest.mark.parametrize("cell", [scaled, functools.partial(scaled), Scaled(), Scaled().__call__])
def test_numbers_of_users_cells(cell, rng):
    x, h = tg.tensor(rng.normal(size=(1, B, N)), "float32"), tg.tensor(rng.normal(size=(B, 4)), "float32")
    holder = getattr(cell, "__self__", cell)
    for NUMBERS["scale"] in (0.5, 0.5, -2.0, 0.25):
        if isinstance(holder, Scaled):
            holder.scale = NUMBERS["scale"]
        check(cell, x, h)
    NUMBERS["scale"] = 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_operands_of_other_kinds(kind, rng):
    cell = KINDS[kind](N, 4)
    for batch in (2, 1, 2, 5, 1):
        check(cell, *operands(cell, rng, batch))
    x, state = operands(cell, rng)
    check(cell, x.numpy(), state)
    check(cell, x, tree.map_leaves(lambda leaf: leaf.numpy(), state))
    check(cell, x, tree.map_leaves(lambda leaf: tg.tensor(leaf.numpy(), requires_grad=True), state))
    with tg.no_grad():
        for bad in (tree.map_leaves(lambda leaf: leaf[:1], state), (state, state)):
            with pytest.raises(tg.TinygradRNNError):
                tg.scan(cell, x, bad)


def test_options_count(rng):
    cell = nn.GRUCell(N, 4)
    x, h = operands(cell, rng)
    with tg.no_grad():
        tg.scan(cell, x, h)
        tg.scan(cell, x, h)
        for wrong in ({"compiled": "fast"}, {"masked_output": "last"}, {"reverse": "no"}, {"checkpoint": 0}):
            with pytest.raises(tg.ArgumentError):
                tg.scan(cell, x, h, **wrong)
        tg.scan(cell, x, h, compiled=False)
        assert "compiled=False" in tg.explain(cell)
        tg.scan(cell, x, h)
        assert "machine code" in tg.explain(cell)
    ys, _ = tg.scan(cell, x, h)  # recorded again
    assert ys.requires_grad


def test_only_a_look_is_taken(rng, monkeypatch):
    """Without this, all of the above would pass for a path that nobody takes."""
    cell = nn.LSTMCell(N, 4)
    x, state = operands(cell, rng)
    with tg.no_grad():
        tg.scan(cell, x, state)
        monkeypatch.setattr("tinygrad_rnn.sequence.compiled_scan", None)
        ys, _ = tg.scan(cell, x, state)
    assert ys.shape == (1, B, 4)


def test_plans_and_observers_are_no_runs(rng):
    cell = nn.GRUCell(N, 4)
    x, h = operands(cell, rng)
    for _ in range(2):
        check(cell, x, h)
    assert "machine code" in tg.explain(cell, x, h)
    with tg.detect_anomaly(), tg.no_grad():
        tg.scan(cell, x, h)
    assert "anomaly" in tg.explain(cell)


def test_nothing_is_kept_alive(rng):
    cell = nn.LSTMCell(N, 6)
    for _ in range(2):
        check(cell, *operands(cell, rng))
    gone = [weakref.ref(cell), *(weakref.ref(p) for p in cell.parameters())]
    assert any(call.traced.attributes.weights(cell) for call in single_step._calls.values())
    del cell
    gc.collect()
    assert [reference() for reference in gone] == [None] * len(gone)


LAYERS = [nn.RNN, nn.LSTM, nn.GRU, nn.PeepholeLSTM]


def check_layer(layer, x, state):
    """What a layer returns for one step is what it returns where nothing is compiled."""
    loop = copy.deepcopy(layer)
    for _, run in loop.parts().items():
        run.options["compiled"] = False
    with tg.no_grad():
        found, expected = layer(x, state), loop(x, state)
    assert tree.structure(found) == tree.structure(expected)
    for a, b in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype, a.requires_grad) == (b.shape, b.dtype, False)
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


def step_of(layer, rng, batch=B, single=False):
    axes = () if single else (batch,)
    x = tg.tensor(rng.normal(size=(1, *axes, N)), "float32")
    sizes = layer.layers[0][0].cell.state_size
    count = sum(map(len, layer.layers))
    state = tree.map_leaves(lambda n: tg.tensor(rng.normal(size=(count, *axes, n)), "float32"), sizes)
    return (tg.swapaxes(x, 0, 1) if layer.batch_first and not single else x), state


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 3},
        {"bidirectional": True},
        {"batch_first": True},
        {"num_layers": 2, "dropout": 0.5},
    ],
)
def test_layers(kind, options, rng):
    layer = kind(N, 4, **options).eval()
    for batch in (2, 2, 1, 1):
        check_layer(layer, *step_of(layer, rng, batch))
    for _ in range(2):
        check_layer(layer, *step_of(layer, rng, single=True))
    layer.weight_hh_l0 = nn.Parameter(-2 * layer.weight_hh_l0.numpy())
    check_layer(layer, *step_of(layer, rng))
    x, state = step_of(layer, rng)
    check_layer(layer, x, list(state) if type(state) is tuple else state)
    check_layer(layer, x, None)
    check_layer(layer, tg.concatenate([x, x], 1 if layer.batch_first else 0), state)


@pytest.mark.parametrize("kind", LAYERS)
def test_what_a_layer_refuses(kind, rng):
    layer = kind(N, 4, num_layers=2)
    x, state = step_of(layer, rng)
    for _ in range(2):
        check_layer(layer, x, state)
    with tg.no_grad():
        for bad in (tree.map_leaves(lambda leaf: leaf[:1], state), (state, state)):
            with pytest.raises(tg.ShapeError):
                layer(x, bad)
        with pytest.raises(tg.DtypeError):
            layer(x.astype("float64"), state)


def test_dropout_of_a_layer_is_drawn(rng):
    layer = nn.GRU(N, 4, num_layers=2, dropout=0.5)
    x, state = step_of(layer, rng)
    with tg.no_grad():
        layer.eval()
        for _ in range(2):
            layer(x, state)
        layer.train()
        drawn = [layer(x, state)[0].numpy() for _ in range(8)]
    assert any((y != drawn[0]).any() for y in drawn)


def test_a_layer_with_another_cell(rng):
    layer = nn.GRU(N, 4)
    x, state = step_of(layer, rng)
    for _ in range(2):
        check_layer(layer, x, state)
    layer.layers[0][0].cell = nn.GRUCell(N, 4, reset="before")
    for _ in range(2):
        check_layer(layer, x, state)


class Doubled(nn.Recurrent):
    def __call__(self, *args, **kwargs):
        y, state = super().__call__(*args, **kwargs)
        return 2 * y, state


class Noise(nn.Dropout):
    def __call__(self, x):
        return x + 1


class Shifted(nn.GRU):
    def _run(self, x, states, lengths, mask):
        y, state = super()._run(x, states, lengths, mask)
        return y + 1, state


def shifted(layer):
    layer.__class__ = Shifted


def doubled(layer):
    layer.layers[0][0] = Doubled(layer.layers[0][0].cell)


def noise(layer):
    layer.dropout = Noise(0.0)


def another_layer_in_place_of_dropout(layer):
    layer.dropout = nn.LayerNorm(4)


def batch_first_inside(layer):
    layer.layers[0][0].batch_first = True


def arrays_for_weights(layer):
    for _, run in layer.parts().items():
        cell = run.cell
        weight = cell.weight_hh.numpy()
        del cell.weight_hh
        cell.weight_hh = 3 * weight


@pytest.mark.parametrize(
    "change",
    [shifted, doubled, noise, another_layer_in_place_of_dropout, batch_first_inside, arrays_for_weights],
)
def test_what_users_put_into_a_layer(change, rng):
    layer = nn.GRU(N, 4, num_layers=2).eval()
    x, state = step_of(layer, rng, 1)
    for _ in range(2):
        check_layer(layer, x, state)
    change(layer)
    for _ in range(2):
        check_layer(layer, x, state)


def test_a_method_put_into_the_layers(rng, monkeypatch):
    layer = nn.GRU(N, 4)
    x, state = step_of(layer, rng)
    for _ in range(2):
        check_layer(layer, x, state)
    monkeypatch.setattr(nn.Recurrent, "__call__", lambda self, x, h, lengths, mask: (x * 0, h))
    with tg.no_grad():
        assert not layer(x, state)[0].numpy().any()


def test_a_layer_takes_no_more_than_before_its_cell_was_scanned(rng):
    layer = nn.GRU(N, 4)
    cell = layer.layers[0][0].cell
    x, h = tg.tensor(rng.normal(size=(1, 1, N)), "float32"), tg.zeros((5, 4))
    for _ in range(2):
        check(cell, x, h)
    with pytest.raises(tg.ShapeError), tg.no_grad():
        layer(x, tg.zeros((1, 5, 4)))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("before", "after"), [("float32", "float64"), ("float64", "float32")])
def test_a_layer_of_another_dtype(kind, before, after, rng):
    layer = kind(N, 4, dtype=before)
    x, state = step_of(layer, rng)
    x, state = x.astype(before), tree.map_leaves(lambda leaf: leaf.astype(before), state)
    for _ in range(2):
        check_layer(layer, x, state)
    layer.astype(after)
    with pytest.raises(tg.DtypeError), tg.no_grad():
        layer(x, state)
    for _ in range(2):
        check_layer(layer, x.astype(after), tree.map_leaves(lambda leaf: leaf.astype(after), state))


# -- weights that each call computes -------------------------------------------------------------------------


@pytest.fixture
def bound(monkeypatch):
    """The steps that are bound, one by one."""
    made = []

    class Counted(single_step.BoundStep):
        def __init__(self, *args):
            made.append(self)
            super().__init__(*args)

    monkeypatch.setattr(single_step, "BoundStep", Counted)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_is_bound_to_weights_that_are_new_each_time(kind, rng, bound):
    cell = KINDS[kind](N, 11)
    weight = cell.weight_hh
    for i in range(8):
        cell.weight_hh = weight * (1.0 + i)
        check(cell, *operands(cell, rng))
    assert len(bound) <= 1


def test_a_step_is_bound_to_weights_that_stay(rng, bound):
    cell = nn.LSTMCell(N, 12)
    for i in range(2):
        for _ in range(4):
            check(cell, *operands(cell, rng))
        assert len(bound) == i + 1
        trained(cell)


def test_weights_that_are_written_into_between_all_steps(rng, bound):
    cell = nn.GRUCell(N, 13)
    given = cell.weight_hh.data
    for _ in range(5):
        given *= 0.9
        check(cell, *operands(cell, rng))
    assert len(bound) <= 1
