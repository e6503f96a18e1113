"""What a recurrent layer is made of, what it keeps from call to call, and what it refuses."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.test_recurrent_options import UserCell, runs_whole
from tinygrad_rnn import nn, tree

T, B, D, H = 5, 3, 4, 4
make_gru = partial(nn.GRUCell, hidden_size=H, dtype="float64")


@pytest.fixture
def x(rng):
    return tg.tensor(rng.normal(size=(T, B, D)))


def same(found, expected, tolerance=1e-12):
    for a, b in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        a, b = (v.numpy() if isinstance(v, tg.Tensor) else v for v in (a, b))
        assert a.shape == b.shape
        assert abs(a - b).max(initial=0) <= tolerance


# -- cells ---------------------------------------------------------------------------------------------------


def test_one_cell_in_several_places_is_copied(x):
    cell = make_gru(D)
    layer = nn.Recurrent(cell, num_layers=2, bidirectional=True, merge="sum")
    assert layer.cell_l0 is cell
    assert len(layer.parameters()) == 4 * 4
    for name in ("cell_l0_reverse", "cell_l1", "cell_l1_reverse"):
        other = getattr(layer, name)
        same(list(other.state_dict().values()), list(cell.state_dict().values()))
        assert not {*map(id, other.parameters())} & {*map(id, cell.parameters())}
    y, _ = layer(x)
    cell.weight_ih.data = cell.weight_ih.numpy() * 0
    same(layer.cell_l1.weight_ih, nn.Recurrent([layer.cell_l1]).cell.weight_ih)
    assert layer.cell_l1.weight_ih.numpy().any()
    assert not np.allclose(layer(x)[0].numpy(), y.numpy())


def test_a_cell_twice_in_a_list_is_copied():
    cell = make_gru(D)
    layer = nn.Recurrent([cell, make_gru(D), cell])
    assert layer.cell_l0 is cell
    assert layer.cell_l2 is not cell
    assert layer.num_layers == 3
    assert len(layer.parameters()) == 12


def test_a_list_for_each_layer(x):
    cells = [make_gru(n) for n in (D, D, 2 * H, 2 * H)]
    flat, nested = (
        nn.Recurrent(cells, bidirectional=True),
        nn.Recurrent([cells[:2], cells[2:]], bidirectional=True),
    )
    assert nested.num_layers == 2
    assert nested.cell_l1_reverse is cells[3]
    same(nested(x), flat(x))


def test_layers_of_functions(x):
    weights = [nn.Parameter(0.1 * np.eye(D) * k) for k in (1, 2)]

    def cell(x, h, W):
        h = tg.tanh(x + h @ W)
        return h, h

    layer = nn.Recurrent([partial(cell, W=w) for w in weights])
    assert {*map(id, layer.parameters())} == {*map(id, weights)}
    zeros = tg.zeros((2, B, D), "float64")
    y, last = layer(x, zeros)
    first, h0 = tg.scan(partial(cell, W=weights[0]), x, zeros[0])
    second, h1 = tg.scan(partial(cell, W=weights[1]), first, zeros[1])
    same((y, last), (second, tg.stack([h0, h1])))
    copied = nn.Recurrent(partial(cell, W=weights[0]), num_layers=2)
    assert len(copied.parameters()) == 2
    with pytest.raises(tg.ArgumentError, match=r"the cell <lambda> stands in several places and cannot be"):
        nn.Recurrent(lambda x, h: cell(x, h, weights[0]), num_layers=2)
    with pytest.raises(tg.ShapeError, match="has no state_size"):
        layer(x)


def test_a_function_without_parameters_may_stand_anywhere(x):
    def sums(x, h):
        return x + h, x + h

    y, last = nn.Recurrent(sums, num_layers=2)(x, tg.zeros((2, B, D), "float64"))
    once = np.cumsum(x.numpy(), 0)
    same(y, np.cumsum(once, 0))
    same(last, np.stack([once[-1], np.cumsum(once, 0)[-1]]))


@pytest.mark.parametrize("make", [make_gru, UserCell, lambda n: nn.LSTMCell(n, H, dtype="float64")])
def test_what_makes_cells(make, x):
    layer = nn.Recurrent(make, input_size=D, num_layers=2, bidirectional=True)
    assert [layer.cell_l0.input_size, layer.cell_l1_reverse.input_size] == [D, 2 * H]
    y, _ = layer(x)
    assert y.shape == (T, B, 2 * H)
    assert nn.Recurrent(make, input_size=D).cell.input_size == D


def test_names_and_files(tmp_path, x):
    layer = nn.Recurrent(UserCell, input_size=D, num_layers=2)
    assert [name for name, _ in layer.named_parameters()] == [
        f"cell_l{k}.{name}" for k in (0, 1) for name in "WUb"
    ]
    tg.save(tmp_path / "layer.safetensors", layer)
    other = nn.Recurrent(UserCell, input_size=D, num_layers=2)
    other.load_state_dict(tg.load(tmp_path / "layer.safetensors"))
    same(other(x), layer(x))
    same(copy.deepcopy(layer)(x), layer(x))
    layer.cell_l1 = UserCell(H, h_is_output=True)
    assert layer.layers[1][0].cell is layer.cell_l1
    assert not np.allclose(other(x)[0].numpy(), layer(x)[0].numpy())


# -- states --------------------------------------------------------------------------------------------------


def test_cells_of_different_sizes_have_a_tuple_of_states(x, rng):
    cells = [nn.GRUCell(D, 3, dtype="float64"), nn.LSTMCell(3, 2, dtype="float64")]
    layer = nn.Recurrent(cells)
    state = (rng.normal(size=(B, 3)), (rng.normal(size=(B, 2)), rng.normal(size=(B, 2))))
    state = tree.map_leaves(tg.tensor, state)
    middle, h = nn.Recurrent(cells[0])(x, state[0])
    y, last = nn.Recurrent(cells[1])(middle, state[1])
    same(layer(x, state), (y, (h, last)))
    assert tree.structure(layer(x)[1]) == tree.structure(state)
    stepper = layer.stepper(state)
    same([stepper(x[t]) for t in range(T)], list(y))
    same(stepper.state, (h, last))
    single = tree.map_leaves(lambda s: s[0], state)
    same(layer(x[:, 0], single), (y[:, 0], tree.map_leaves(lambda s: s[0], (h, last))))
    with pytest.raises(tg.ShapeError, match="a tuple of 2 states"):
        layer(x, state[0])


class Nested(nn.Module):
    """Its state is a dict, and it says nothing of it."""

    def __init__(self, scale):
        self.scale = nn.Parameter(np.array(scale))

    def __call__(self, x, state):
        a, (b,) = state["a"], state["rest"]
        new = {"a": tg.tanh(self.scale * x + a), "rest": (b + a,)}
        return new["a"] + b, new


def test_a_state_nested_in_any_way(x, rng):
    cells = [Nested(0.5), Nested(0.7)]
    values = {"a": rng.normal(size=(2, B, D)), "rest": (rng.normal(size=(2, B, D)),)}
    y, last = nn.Recurrent(cells)(x, tree.map_leaves(tg.tensor, values), lengths=[5, 0, 2])
    z, ends = x, []
    for k in (0, 1):
        part = tree.map_leaves(lambda v, k=k: tg.tensor(v[k]), values)
        z, end = nn.Recurrent(cells[k])(z, part, lengths=[5, 0, 2])
        ends.append(end)
    same(y, z)
    same(
        last,
        tree.unflatten(
            values, [np.stack([a.numpy(), b.numpy()]) for a, b in zip(*map(tree.leaves, ends), strict=True)]
        ),
    )
    with pytest.raises(tg.ShapeError, match=r"expected \(2, …\)"):
        nn.Recurrent(cells)(x, tree.map_leaves(lambda v: tg.tensor(v[0]), values))


class Matrix(nn.Module):
    """A state of several axes."""

    state_size, output_size = nn.Shape(D, D), D

    def __call__(self, x, memory):
        memory = 0.9 * memory + tg.expand_dims(x, -1) * tg.expand_dims(x, -2)
        return tg.sum(memory, axis=-1), memory


def test_states_of_several_axes(x):
    y, last = nn.Recurrent(Matrix(), num_layers=2)(x)
    first, a = nn.Recurrent(Matrix())(x)
    second, b = nn.Recurrent(Matrix())(first)
    same((y, last), (second, tg.stack([a, b])))
    assert last.shape == (2, B, D, D)


# -- kept from call to call ----------------------------------------------------------------------------------

STATEFUL = {
    "one cell": lambda **o: nn.Recurrent(make_gru(D), stateful=True, **o),
    "layers": lambda **o: nn.LSTM(D, H, 2, dtype="float64", stateful=True, **o),
    "sizes": lambda **o: nn.Recurrent(
        [nn.GRUCell(D, 3, dtype="float64"), nn.LSTMCell(3, 2, dtype="float64")], stateful=True, **o
    ),
}


@pytest.mark.parametrize("make", STATEFUL.values(), ids=STATEFUL)
@pytest.mark.parametrize("single", [False, True])
def test_a_sequence_in_pieces(make, single, x):
    layer, x = make(), x[:, 0] if single else x
    whole, last = layer(x)
    layer.reset_state()
    pieces = [layer(part) for part in (x[:2], x[2:3], x[3:])]
    same(tg.concatenate([y for y, _ in pieces]), whole)
    same(pieces[-1][1], last)
    layer.reset_state(pieces[0][1])
    same(layer(x[2:])[0], whole[2:])


def test_nothing_flows_back_into_the_call_before(x):
    layer = nn.GRU(D, H, dtype="float64", stateful=True)
    first = tg.tensor(x.numpy(), requires_grad=True)
    _, state = layer(first)
    assert state.requires_grad  # what is returned is not cut
    tg.sum(layer(x)[0]).backward()
    assert first.grad is None


@pytest.mark.parametrize("make", STATEFUL.values(), ids=STATEFUL)
def test_a_state_of_another_batch_is_refused_and_kept(make, x):
    layer = make()
    _, state = layer(x)
    with pytest.raises(tg.ShapeError, match=r"reset_state\(\)"):
        layer(x[:, :2])
    with pytest.raises(tg.TinygradRNNError):
        layer(x[..., 1:])
    same(layer._kept, state)
    with pytest.raises(tg.ArgumentError, match="stateful=True"):
        nn.GRU(D, H).reset_state()
    layer.reset_state()
    layer(x[:, :2])


def test_who_only_looks_does_not_move_it(x):
    layer = nn.GRU(D, H, dtype="float64", stateful=True, zoneout=0.5)
    _, state = layer(x)
    before = tg.random.get_state()
    layer.explain(x)
    tg.explain(layer, x)
    tg.summary(layer, (2, 1, D))
    tg.train.evaluate(layer, lambda y, t: tg.mse_loss(y[0], t), [(x, tg.zeros((T, B, H), "float64"))])
    same(layer._kept, state)
    assert tg.random.get_state() == before


def test_a_stateful_layer_inside_a_cell_is_not_compiled(x):
    inner = nn.GRU(D, D, dtype="float64", stateful=True)

    def cell(x, h):
        y, _ = inner(tg.expand_dims(x, 0))
        return y[0] + h, h

    y, _ = tg.scan(cell, x, tg.zeros((B, D), "float64"))
    assert "keeps its state" in tg.explain(cell)
    inner.reset_state()
    same(y, inner(x)[0])


# -- noise ---------------------------------------------------------------------------------------------------


def noisy(**options):
    return nn.LSTM(
        D,
        H,
        2,
        dtype="float64",
        dropout=0.3,
        recurrent_dropout=0.3,
        zoneout=(0.2, 0.4),
        variational=True,
        **options,
    )


def test_the_same_random_state_gives_the_same_noise(x):
    layer = noisy()
    state = tg.random.get_state()
    once, other = layer(x), layer(x)
    tg.random.set_state(state)
    same(layer(x), once)
    assert not np.allclose(once[0].numpy(), other[0].numpy())
    layer.eval()
    before = tg.random.get_state()
    same(layer(x), layer(x))
    assert tg.random.get_state() == before


def test_training_that_is_resumed_draws_what_it_would_have_drawn(tmp_path, rng):
    batches = [(rng.normal(size=(T, B, D)), rng.normal(size=(T, B, H))) for _ in range(3)]

    def trained(folder, steps, resume=False):
        tg.random.seed(7 if not resume else 99)
        layer = noisy()
        loss = lambda y, target: tg.mse_loss(y[0], target)  # noqa: E731
        tg.train.fit(layer, loss, batches, steps=steps, folder=folder, resume=resume, progress=False)
        return list(layer.state_dict().values())

    whole = trained(tmp_path / "whole", 6)
    trained(tmp_path / "parts", 3)
    same(trained(tmp_path / "parts", 6, resume=True), whole, 0)


def test_zoneout_is_kept_in_expectation(rng):
    """The mean over many draws of one step, where the expectation is exact."""
    cell = nn.LSTMCell(D, H, dtype="float64")
    layer = nn.Recurrent(cell, zoneout=(0.3, 0.6))
    many = 40_000
    x, h, c = (tg.tensor(np.repeat(rng.normal(size=(1, n)), many, 0)) for n in (D, H, H))
    _, drawn = layer(tg.expand_dims(x, 0), (h, c))
    _, expected = layer.eval()(tg.expand_dims(x[:1], 0), (h[:1], c[:1]))
    for a, b in zip(drawn, expected, strict=True):
        assert abs(a.numpy().mean(0) - b.numpy()[0]).max() < 0.02
    _, new = cell(x[:1], (h[:1], c[:1]))
    same(
        expected,
        [
            z * old.numpy()[:1] + (1 - z) * n.numpy()
            for z, old, n in zip((0.3, 0.6), (h, c), new, strict=True)
        ],
    )


def test_recurrent_dropout_is_one_choice_for_a_sequence(rng):
    """Of what is returned: with h seen or not, and no input, h stays what one choice makes of it."""
    layer = nn.Recurrent(lambda x, h: (h, h), recurrent_dropout=0.5)
    ones = tg.ones((1, 1000), "float64")
    y, _ = layer(tg.zeros((3, 1, 1), "float64"), ones)
    values = y.numpy()[:, 0]
    assert set(values[0]) == {0.0, 2.0}
    assert (values[1] == 2 * values[0]).all()
    assert (values[2] == 4 * values[0]).all()
    assert 400 < (values[0] > 0).sum() < 600


def test_derivatives_of_noise_are_of_the_same_draw(x):
    layer = noisy()

    def number(x):
        tg.random.seed(3)
        y, state = layer(x, lengths=[5, 2, 4])
        return tg.sum(tg.sin(y)) + sum(tg.sum(leaf * leaf) for leaf in tree.leaves(state))

    tg.check_gradients(number, x)
    v = tg.tensor(np.ones(x.shape))
    step = 1e-6
    slope = (tg.grad(number)(x + step * v).numpy() - tg.grad(number)(x - step * v).numpy()) / (2 * step)
    assert abs(tg.hvp(number, x, v).numpy() - slope).max() < 1e-7
    assert runs_whole(layer)


def test_noise_is_seen_by_pictures_and_reports(x):
    layer = noisy()
    loss = tg.sum(layer(x)[0] ** 2)
    assert "step" in tg.draw(loss, view="steps").dot
    assert tg.flow(loss).table()
    weight, other = (
        tg.gradients(loss, [layer.weight_hh_l0], create_graph=how)[0].numpy() for how in (True, False)
    )
    assert abs(weight - other).max() < 1e-12


def test_a_subclass_with_another_step_sees_only_what_is_left(x):
    """Its own ``__call__`` counts, not the step of the class that it comes from."""

    class Mine(nn.GRUCell):
        def __call__(self, x, state):
            return super().__call__(x, 2 * state)

    cell = Mine(D, H, dtype="float64")
    tg.random.seed(1)
    h = tg.tensor(np.random.default_rng(0).normal(size=(B, H)))
    _, last = nn.Recurrent(cell, recurrent_dropout=0.5)(x[:1], h)
    mask = (np.random.default_rng(1).random((B, H)) >= 0.5) * 2
    same(last, cell(x[0], h * tg.tensor(mask.astype(float)))[1])


# -- single steps --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zoneout", [0.0, 0.3])
@pytest.mark.parametrize("made", ["class", "cells"])
def test_steppers(made, zoneout, x):
    layer = (
        nn.GRU(D, H, 2, dtype="float64", zoneout=zoneout)
        if made == "class"
        else nn.Recurrent([UserCell(D), UserCell(H)], zoneout=zoneout)
    ).eval()
    y, last = layer(x)
    stepper = layer.stepper()
    same([stepper(x[t]) for t in range(T)], list(y))
    same(stepper.state, last)
    half = layer(x[:2])[1]
    stepper = layer.stepper(half)
    same([stepper(x[t]) for t in range(2, T)], list(y[2:]))


def test_what_takes_no_single_steps():
    for layer, said in [
        (nn.GRU(D, H, reverse=True), "runs from the end"),
        (nn.Recurrent(make_gru, input_size=D, bidirectional=True, merge="sum"), "also runs from the end"),
        (nn.GRU(D, H, zoneout=0.1), "zoneout and recurrent dropout"),
        (nn.Recurrent(make_gru(D), recurrent_dropout=0.1), "zoneout and recurrent dropout"),
    ]:
        with pytest.raises(tg.ArgumentError, match=said):
            layer.stepper()


# -- outputs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "batch"), [(0, 3), (5, 0)])
def test_last_outputs_of_nothing(steps, batch):
    y, last = nn.GRU(D, H, bidirectional=True, outputs="last")(tg.zeros((steps, batch, D)))
    assert (y.shape, last.shape) == ((batch, 2 * H), (2, batch, H))
    assert not y.numpy().any()


def test_nested_outputs(x):
    class Pair(nn.Module):
        state_size = D

        def __call__(self, x, h):
            h = tg.tanh(x + h)
            return {"h": h, "x": (x * 2,)}, h

    layer = nn.Recurrent([Pair(), Pair()], bidirectional=True, merge="mean", outputs="last", batch_first=True)
    y, _ = layer(tg.swapaxes(x, 0, 1), lengths=[5, 2, 4])
    ends = np.stack([x.numpy()[n - 1, b] for b, n in enumerate([5, 2, 4])])
    same(y["x"], (x.numpy()[0] + ends,))


def test_merging_one_direction_changes_nothing(x):
    tg.random.seed(0)
    plain = nn.GRU(D, H, dtype="float64")
    for merge in ("sum", "mean", "mul"):
        layer = nn.GRU(D, H, dtype="float64", merge=merge)
        layer.load_state_dict(plain.state_dict())
        same(layer(x), plain(x))


# -- refusals ------------------------------------------------------------------------------------------------


def test_what_is_refused(x):
    two = nn.Recurrent(make_gru, input_size=D, num_layers=2)
    lone = nn.Recurrent(make_gru(D))
    wide = nn.Recurrent(
        [nn.GRUCell(D, 2, dtype="float64"), nn.GRUCell(D, 3, dtype="float64")],
        bidirectional=True,
        merge="sum",
    )
    for call, error, said in [
        (lambda: nn.Recurrent(nn.GRUCell), tg.ArgumentError, "is the class GRUCell"),
        (lambda: nn.Recurrent(make_gru, num_layers=2), tg.ArgumentError, "give input_size=… too"),
        (lambda: nn.Recurrent(make_gru(D), input_size=D), tg.ArgumentError, "cell makes cells"),
        (
            lambda: nn.Recurrent(lambda n: None, input_size=D),
            tg.ArgumentError,
            r"what cell\(input_size\) returned",
        ),
        (lambda: nn.Recurrent([]), tg.ArgumentError, "0 cells for 1 layers"),
        (
            lambda: nn.Recurrent([make_gru(D)], bidirectional=True),
            tg.ArgumentError,
            "1 cells for 1 layers of 2",
        ),
        (lambda: nn.Recurrent([make_gru(D)] * 3, num_layers=2), tg.ArgumentError, "3 cells for 2 layers"),
        (
            lambda: nn.Recurrent(lambda n: Nested(0.1), input_size=D, num_layers=2),
            tg.ArgumentError,
            "neither output_size nor state_size",
        ),
        (
            lambda: nn.GRU(D, H, bidirectional=True, reverse=True),
            tg.ArgumentError,
            "reverse is for one direction",
        ),
        (
            lambda: nn.GRU(D, H, zoneout=(0.1, 0.2))(x.astype("float32")),
            tg.ArgumentError,
            "zoneout has 2 probabilities, and the state of the cell 1",
        ),
        (lambda: nn.GRU(D, H, zoneout=1.5), tg.ArgumentError, "GRU: zoneout must be a probability"),
        (lambda: nn.GRU(D, H, outputs="first"), tg.ArgumentError, "'all' or 'last'"),
        (lambda: nn.GRU(D, H, merge="max"), tg.ArgumentError, "'concat', 'sum', 'mean' or 'mul'"),
        (lambda: wide(x), tg.ShapeError, "merge='sum' needs outputs of one shape"),
        (lambda: two(x, lengths=[1, 2]), tg.ShapeError, "3 numbers from 0 to 5"),
        (lambda: two(x, lengths=[1, 2, 6]), tg.ShapeError, "from 0 to 5"),
        (lambda: two(x, lengths=[-1, 2, 3]), tg.ShapeError, "from 0 to 5"),
        (lambda: two(x, lengths=[1.0, 2, 3]), tg.DtypeError, "whole numbers"),
        (lambda: two(x, mask=np.ones(T, bool)), tg.ShapeError, r"\(5, 3\)"),
        (lambda: two(x, mask=np.ones((T, B, 1), bool)), tg.ShapeError, r"\(5, 3\)"),
        (lambda: two(x[:, 0], lengths=[2]), tg.ShapeError, "single sequence"),
        (lambda: lone(x[:, 0], mask=np.ones((T, 1), bool)), tg.ShapeError, "single sequence"),
        (lambda: two(x, tg.zeros((1, B, H), "float64")), tg.ShapeError, r"expected \(2, 3, 4\)"),
        (lambda: two(x, tg.zeros((2, B, H))), tg.DtypeError, "float32"),
    ]:
        with pytest.raises(error, match=said):
            call()


def test_last_outputs_refuse_what_all_outputs_refuse(x):
    layer = nn.GRU(D, H, dtype="float64", outputs="last", batch_first=True)
    for given, error in [
        ({"lengths": [1, 2]}, tg.ShapeError),
        ({"lengths": [1, 2, 9]}, tg.ShapeError),
        ({"mask": np.ones((T, B), bool)}, tg.ShapeError),
        ({"mask": np.ones(T, bool)}, tg.ShapeError),
        ({"mask": np.ones((B, T))}, tg.DtypeError),
    ]:
        with pytest.raises(error):
            layer(tg.swapaxes(x, 0, 1), **given)


def test_a_refused_layer_draws_no_numbers():
    before = tg.random.get_state()
    for call in (
        lambda: nn.LSTM(D, H, 2, zoneout=7),
        lambda: nn.GRU(D, H, recurrent_dropout=-1.0),
        lambda: nn.GRU(D, H, merge="x"),
        lambda: nn.GRU(D, H, stateful="x"),
        lambda: nn.MGU(D, H, outputs="x"),
        lambda: nn.GRU(D, H, bidirectional=True, reverse=True),
    ):
        with pytest.raises(tg.ArgumentError):
            call()
    assert tg.random.get_state() == before


def test_options_that_have_no_effect_are_refused():
    for make in (nn.LSTMCell, nn.PeepholeLSTMCell, nn.LayerNormLSTMCell):
        with pytest.raises(tg.ArgumentError, match="forget_bias has no effect with coupled=True"):
            make(2, 3, coupled=True, forget_bias=1.0)
    with pytest.raises(tg.ArgumentError, match="forget_bias has no effect"):
        nn.LSTM(2, 3, coupled=True, forget_bias=1.0)
    with pytest.raises(tg.ArgumentError, match="reset must be 'after'"):
        nn.LayerNormGRUCell(2, 3, reset="before")


def test_a_state_of_another_shape_is_refused():
    """A cell would spread it over other axes."""
    one, several = nn.Recurrent(nn.GRUCell(2, 3)), nn.Recurrent(nn.LSTMCell(2, 3))
    single, batch = tg.ones((4, 2)), tg.ones((4, 3, 2))
    for layer, x, state in [
        (one, single, tg.zeros((7, 3))),
        (one, batch, tg.zeros((7, 3, 3))),
        (one, batch, tg.zeros((1, 3))),
        (one, batch, tg.zeros((3, 1))),
        (several, single, (tg.zeros((7, 3)), tg.zeros((7, 3)))),
        (several, batch, (tg.zeros((3, 3)), tg.zeros((1, 3)))),
    ]:
        with pytest.raises(tg.ShapeError):
            layer(x, state)
    kept = nn.Recurrent(nn.GRUCell(2, 3), stateful=True)
    kept(batch)
    with pytest.raises(tg.ShapeError):
        kept(single)


def test_a_kept_state_is_nobody_elses():
    x = tg.ones((4, 1, 2))
    for make in (lambda: nn.GRU(2, 3, stateful=True), lambda: nn.Recurrent(nn.GRUCell(2, 3), stateful=True)):
        layer = make()
        _, state = layer(x)
        expected = layer.__class__.__call__(layer, x)[0].numpy().copy()
        layer.reset_state()
        _, state = layer(x)
        state.data[...] = 7.0
        np.testing.assert_array_equal(layer(x)[0].numpy(), expected)


def test_a_scan_that_must_be_compiled_says_where_it_cannot():
    layer = nn.GRU(2, 3, compiled=True, masked_output="previous", checkpoint=2)
    with pytest.raises(tg.TraceError, match="from segment"):
        layer(tg.ones((4, 3, 2)), lengths=[4, 2, 0])


@pytest.mark.parametrize(
    "hides", [{"lengths": [3, 1]}, {"mask": [[True, False], [False, True], [True, True]]}]
)
@pytest.mark.parametrize("reverse", [False, True])
def test_second_order_where_the_output_before_is_repeated(hides, reverse, rng):
    """Outputs of another size than the state; by differences of the gradient."""
    x, h0, v = (tg.tensor(rng.normal(size=size)) for size in ((3, 2, 1), (2, 3), (3, 2)))

    def f(x):
        def cell(x, h):
            h = tg.tanh(x + h)
            return h @ v, h

        ys, _ = tg.scan(cell, x, h0, masked_output="previous", reverse=reverse, **hides)
        return tg.sum(tg.sin(ys))

    d = rng.normal(size=x.shape)
    slope, small = tg.grad(f), 1e-5
    differences = (slope(x + small * d).numpy() - slope(x - small * d).numpy()) / (2 * small)
    np.testing.assert_allclose(tg.hvp(f, x, d).numpy(), differences, rtol=1e-6, atol=1e-8)
    for layer in (nn.LSTM(1, 3, proj_size=2, masked_output="previous", dtype="float64", reverse=reverse),):

        def of_layer(x, layer=layer):
            return tg.sum(tg.sin(layer(x, **hides)[0]))

        slope = tg.grad(of_layer)
        differences = (slope(x + small * d).numpy() - slope(x - small * d).numpy()) / (2 * small)
        np.testing.assert_allclose(tg.hvp(of_layer, x, d).numpy(), differences, rtol=1e-6, atol=1e-8)
