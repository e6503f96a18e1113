"""Cells and layers against straight NumPy, sample by sample, in float64."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn import oracle
from tinygrad_rnn import nn, tree

T, B, D, H, P = 5, 3, 4, 6, 2  # steps, batch, input, hidden, projection

CELLS = {
    "rnn": (nn.RNN, nn.RNNCell, {}, oracle.rnn),
    "rnn relu": (nn.RNN, nn.RNNCell, {"nonlinearity": "relu"}, oracle.rnn_relu),
    "lstm": (nn.LSTM, nn.LSTMCell, {}, oracle.lstm),
    "lstm proj": (nn.LSTM, nn.LSTMCell, {"proj_size": P}, oracle.lstm),
    "peephole": (nn.PeepholeLSTM, nn.PeepholeLSTMCell, {}, oracle.lstm),
    "peephole proj": (nn.PeepholeLSTM, nn.PeepholeLSTMCell, {"proj_size": P}, oracle.lstm),
    "gru": (nn.GRU, nn.GRUCell, {}, oracle.gru),
    "gru before": (nn.GRU, nn.GRUCell, {"reset": "before"}, oracle.gru_before),
}
kinds = pytest.mark.parametrize("kind", CELLS)


def on_device(values):
    return tree.map_leaves(tg.tensor, values)


def of_cell(layer, suffix):
    return {
        name.removesuffix(suffix): p.numpy() for name, p in layer.named_parameters() if name.endswith(suffix)
    }


def random_state(rng, size, lead):
    return tree.map_leaves(lambda n: rng.normal(size=(*lead, n)), size)


def at(state, *index):
    return tree.map_leaves(lambda leaf: leaf[index], state)


def same(found, expected):
    for a, b in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        assert np.allclose(a.numpy() if isinstance(a, tg.Tensor) else a, b, rtol=0, atol=1e-12)


def expected_run(layer, oracle_cell, x, state, lengths):
    """The layer on x (T, B, D), sample by sample: outputs (T, B, …), 0 beyond the lengths, and states nested
    as the state."""
    outputs, finals = [], []
    for b in range(x.shape[1]):
        seq, final = x[: lengths[b], b], []
        for k in range(layer.num_layers):
            sides = []
            for suffix in (f"_l{k}", f"_l{k}_reverse")[: 2 if layer.bidirectional else 1]:
                ys, s = oracle.run(
                    oracle_cell,
                    of_cell(layer, suffix),
                    seq,
                    at(state, len(final), b),
                    suffix.endswith("reverse"),
                )
                sides.append(np.stack(ys))
                final.append(s)
            seq = np.concatenate(sides, -1)
        outputs.append(np.pad(seq, ((0, len(x) - len(seq)), (0, 0))))
        finals.append(final)
    leaves = [[list(tree.leaves(s)) for s in final] for final in finals]  # [sample][cell][leaf]
    count = len(leaves[0][0])
    stacked = [
        np.stack([np.stack([sample[c][i] for sample in leaves]) for c in range(len(leaves[0]))])
        for i in range(count)
    ]
    return np.stack(outputs, 1), stacked


@pytest.mark.both_backends
@kinds
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, [5, 1, 3]])
def test_layers_equal_the_oracle(rng, kind, num_layers, bidirectional, lengths):
    make, _, options, oracle_cell = CELLS[kind]
    layer = make(D, H, num_layers, bidirectional=bidirectional, dtype="float64", **options)
    x = rng.normal(size=(T, B, D))
    size = layer.layers[0][0].cell.state_size
    state = random_state(rng, size, (num_layers * (1 + bidirectional), B))
    y, after = layer(tg.tensor(x), on_device(state), lengths)
    expected_y, expected_after = expected_run(layer, oracle_cell, x, state, lengths or [T] * B)
    same(y, expected_y)
    same(after, expected_after)


@kinds
def test_cells_equal_the_oracle_and_their_gradients_are_right(rng, kind):
    _, make, options, oracle_cell = CELLS[kind]
    cell = make(D, H, dtype="float64", **options)
    x, state = rng.normal(size=(B, D)), random_state(rng, cell.state_size, (B,))
    y, after = cell(tg.tensor(x), on_device(state))
    parameters = {name: p.numpy() for name, p in cell.named_parameters()}
    for b in range(B):
        same((at(y, b), at(after, b)), oracle_cell(parameters, x[b], at(state, b)))
    tg.check_gradients(
        lambda x, *s: tg.sum(cell(x, tree.unflatten(state, s))[0] ** 2),
        tg.tensor(x),
        *map(tg.tensor, tree.leaves(state)),
    )


@kinds
def test_no_bias_is_a_bias_of_zero(rng, kind):
    make, _, options, _ = CELLS[kind]
    bare, full = make(D, H, bias=False, dtype="float64", **options), make(D, H, dtype="float64", **options)
    zeros = {name: np.zeros(p.shape) for name, p in full.named_parameters() if "bias" in name}
    assert not any("bias" in name for name, _ in bare.named_parameters())
    full.load_state_dict({**bare.state_dict(), **zeros})
    x = tg.tensor(rng.normal(size=(T, B, D)))
    same(full(x)[0], bare(x)[0].numpy())


@kinds
def test_batch_first_single_sequences_and_zero_states(rng, kind):
    make, _, options, _ = CELLS[kind]
    layer = make(D, H, 2, bidirectional=True, dtype="float64", **options)
    x = tg.tensor(rng.normal(size=(T, B, D)))
    y, after = layer(x, lengths=[5, 2, 4])
    layer.batch_first = True
    swapped, _ = layer(x.swapaxes(0, 1), lengths=[5, 2, 4])
    same(swapped, y.numpy().swapaxes(0, 1))
    masked, _ = layer(x.swapaxes(0, 1), mask=np.arange(T) < np.array([[5], [2], [4]]))
    same(masked, swapped.numpy())
    one, one_after = layer(x[:, 0])
    same((one, one_after), (at(y, slice(None), 0).numpy(), tree.map_leaves(lambda s: s.numpy()[:, 0], after)))
    again, _ = layer(x[:, 0], tree.map_leaves(lambda s: s * 0, one_after))
    same(again, one.numpy())


def test_clipping_holds_c_and_the_projected_h(rng):
    layer = nn.LSTM(D, H, proj_size=P, cell_clip=0.1, proj_clip=0.02, dtype="float64")
    y, (_, c) = layer(tg.tensor(5 * rng.normal(size=(T, B, D))))
    assert abs(c.numpy()).max() == pytest.approx(0.1)
    assert abs(y.numpy()).max() == pytest.approx(0.02)


@pytest.mark.both_backends
def test_dropout_stands_between_layers_and_only_in_training(rng):
    layer = nn.LSTM(D, H, 2, dropout=1.0, dtype="float64")
    x, zeros = tg.tensor(rng.normal(size=(T, B, D))), tg.zeros((T, B, H), "float64")
    silent = nn.LSTM(H, H, dtype="float64")
    silent.load_state_dict(
        {name.replace("_l1", "_l0"): p for name, p in layer.state_dict().items() if name.endswith("_l1")}
    )
    same(layer(x)[0], silent(zeros)[0].numpy())
    layer.eval()
    assert not np.allclose(layer(x)[0].numpy(), silent(zeros)[0].numpy())


@kinds
@pytest.mark.parametrize(("steps", "batch"), [(0, 3), (5, 0), (1, 1), (0, 0)])
def test_empty_and_tiny(kind, steps, batch):
    make, _, options, _ = CELLS[kind]
    layer = make(D, H, 2, bidirectional=True, **options)
    y, after = layer(tg.zeros((steps, batch, D)))
    size = layer.layers[0][0].cell
    assert y.shape == (steps, batch, 2 * size.output_size)
    assert y.dtype == np.float32
    assert [s.shape for s in tree.leaves(after)] == [(4, batch, n) for n in tree.leaves(size.state_size)]


def test_wrong_inputs_are_named():
    layer = nn.LSTM(D, H)
    x, h = tg.zeros((T, B, D)), tg.zeros((1, B, H))
    for call, error, said in [
        (
            lambda: layer(x[..., 1:]),
            tg.ShapeError,
            r"LSTMCell: the input x has shape \(3, 3\): expected \(…, 4\)",
        ),
        (lambda: layer(x.astype(float)), tg.DtypeError, "float64.*float32.*astype"),
        (lambda: layer(x.astype(int)), tg.DtypeError, "Embedding or one_hot"),
        (lambda: layer(x[None]), tg.ShapeError, r"expected \(T, B, 4\) or \(T, 4\)"),
        (lambda: layer(x, h), tg.ShapeError, "2 tensors"),
        (lambda: layer(x, (h, h[0])), tg.ShapeError, r"\(3, 6\): expected \(1, 3, 6\)"),
        (lambda: layer(x, (h, h.astype(float))), tg.DtypeError, "float64"),
        (lambda: layer(x, lengths=[1, 2]), tg.ShapeError, "3 numbers from 0 to 5"),
        (lambda: layer(x, lengths=[1, 2, 6]), tg.ShapeError, "from 0 to 5"),
        (lambda: layer(x, lengths=[1.0, 2, 3]), tg.DtypeError, "whole numbers"),
        (lambda: layer(x, mask=np.ones((T, B))), tg.DtypeError, "booleans"),
        (lambda: layer(x, mask=np.ones((B, T), bool)), tg.ShapeError, r"\(5, 3\)"),
        (lambda: layer(x[:, 0], lengths=[2]), tg.ShapeError, "single sequence"),
        (lambda: layer(x, mask=np.ones((T, B, 1), bool)), tg.ShapeError, r"\(5, 3\)"),
        (
            lambda: nn.LSTM(D, H, batch_first=True)(x, mask=np.ones(T, bool)),
            tg.ShapeError,
            r"mask must have shape \(B, T\)",
        ),
        (lambda: layer(layer(x)), tg.ArgumentError, r"LSTM: x is a pair"),
        (
            lambda: nn.Sequential(nn.GRU(D, H), nn.Linear(H, 2))(x),
            tg.ArgumentError,
            r"Linear: x is a pair.* y, state = layer\(x\)",
        ),
        (
            lambda: nn.Sequential(nn.GRU(D, D), nn.LayerNorm(D))(x[:1]),
            tg.ArgumentError,
            "LayerNorm: x is a pair",
        ),
        (
            lambda: nn.Sequential(nn.GRU, nn.Linear),
            tg.ArgumentError,
            r"layers\[0\] is the class GRU.*write GRU\(…\)",
        ),
        (lambda: nn.LSTMCell(D, H)(x[0], h[0]), tg.ArgumentError, r"the state must be a pair \(h, c\)"),
        (lambda: nn.GRUCell(D, H)(x[0], None), tg.DtypeError, "GRUCell: state: cannot make a tensor of None"),
        (lambda: nn.LSTM(D, -1), tg.ArgumentError, "hidden_size must be at least 0, not -1"),
        (lambda: nn.LSTM(D, 2.5), tg.ArgumentError, "hidden_size must be a whole number, not 2.5"),
        (lambda: nn.LSTM(D, True), tg.ArgumentError, "hidden_size must be a whole number, not True"),
        (lambda: nn.LSTM(D, H, dtype="int32"), tg.DtypeError, "LSTMCell: dtype must be a float dtype"),
        (lambda: nn.LSTM(D, H, dropout=1.5), tg.ArgumentError, "LSTM: dropout must be a probability"),
        (lambda: nn.LSTM(D, H, bias="no"), tg.ArgumentError, "bias must be True or False, not 'no'"),
        (lambda: nn.LSTM(D, H, cell_clip=-1.0), tg.ArgumentError, "cell_clip must be at least 0"),
        (lambda: nn.detach(None), tg.ArgumentError, "detach: state"),
        (lambda: nn.LSTM(D, H, 0), tg.ArgumentError, "num_layers"),
        (lambda: nn.GRU(D, H, reset="never"), tg.ArgumentError, "'after' or 'before'"),
        (lambda: nn.RNN(D, H, nonlinearity="sin"), tg.ArgumentError, "'tanh' or 'relu'"),
    ]:
        with pytest.raises(error, match=said):
            call()
    with pytest.raises(AttributeError, match="weight_ih_l1"):
        layer.weight_ih_l1
    assert layer.weight_ih_l0.shape == (4 * H, D)


def test_dropout_between_layers_that_are_one_is_told():
    with pytest.warns(
        tg.ArgumentWarning, match="LSTM: dropout acts between layers, and there is one"
    ) as caught:
        nn.LSTM(D, H, dropout=0.5)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.LSTM(D, H, 2, dropout=0.5)
        nn.LSTM(D, H, dropout=0.0)


def test_sizes_of_numpys_are_sizes():
    tg.random.seed(1)
    plain = nn.LSTM(3, 4, 2, proj_size=2)
    tg.random.seed(1)
    numpys = nn.LSTM(np.int64(3), np.int32(4), np.array(2), proj_size=np.uint8(2))
    for name, value in plain.state_dict().items():
        assert np.array_equal(value.numpy(), numpys.state_dict()[name].numpy())


def test_a_layer_that_is_refused_draws_no_numbers():
    before = tg.random.get_state()
    for call in (
        lambda: nn.LSTM(D, H, 2, dropout=7),
        lambda: nn.LSTM(D, H, dtype="nonsense"),
        lambda: nn.PeepholeLSTM(D, H, proj_clip="x"),
        lambda: nn.Linear(3, 4, dtype=3),
        lambda: nn.Embedding(3, -4),
        lambda: nn.init.uniform((2, 3), -1.0),
        lambda: nn.init.orthogonal((2, 3), math.nan),
        lambda: tg.random.set_state({**before, "state": {"state": 1}}),
    ):
        with pytest.raises(tg.TinygradRNNError):
            call()
    assert tg.random.get_state() == before


@pytest.mark.both_backends
def test_truncated_back_propagation_carries_values_and_no_gradient(rng):
    layer = nn.LSTM(D, H, dtype="float64")
    x = tg.tensor(rng.normal(size=(4, B, D)), requires_grad=True)
    _, state = layer(x[:2])
    z, _ = layer(x[2:], nn.detach(state))
    whole, _ = layer(x)
    same(z, whole.numpy()[2:])
    tg.sum(z).backward()
    assert not x.grad.numpy()[:2].any()
    assert x.grad.numpy()[2:].all()


# -- a user's cell -------------------------------------------------------------------------------------------


class UserCell(nn.Module):
    """The design's example: a peephole LSTM in ten lines."""

    def __init__(self, state_size=None):
        like = nn.PeepholeLSTMCell(D, H, dtype="float64")
        self.W, self.U, self.b = (
            nn.Parameter(like.weight_ih.numpy().T),
            nn.Parameter(like.weight_hh.numpy().T),
            nn.Parameter(like.bias_ih),
        )
        self.p_i, self.p_f, self.p_o = like.p_i, like.p_f, like.p_o
        if state_size:
            self.state_size = state_size

    def __call__(self, x, state):
        h, c = state
        i, f, g, o = tg.split(x @ self.W + h @ self.U + self.b, 4, axis=-1)
        i, f = tg.sigmoid(i + self.p_i * c), tg.sigmoid(f + self.p_f * c)
        c = f * c + i * tg.tanh(g)
        h = tg.sigmoid(o + self.p_o * c) * tg.tanh(c)
        return h, (h, c)


def test_a_users_cell_as_a_layer_equals_the_built_in_one(rng):
    x, lengths = tg.tensor(rng.normal(size=(T, B, D))), [5, 1, 3]
    user = nn.Recurrent(UserCell((H, H)))
    assert [name for name, _ in user.named_parameters()][:2] == ["cell.W", "cell.U"]
    built_in = nn.PeepholeLSTM(D, H, dtype="float64")
    values = {name.removeprefix("cell."): p.numpy() for name, p in user.named_parameters()}
    named = {
        "weight_ih": values["W"].T,
        "weight_hh": values["U"].T,
        "bias_ih": values["b"],
        "bias_hh": 0 * values["b"],
    }
    built_in.load_state_dict(
        {f"{name}_l0": v for name, v in (named | {n: values[n] for n in ("p_i", "p_f", "p_o")}).items()}
    )
    y, state = user(x, lengths=lengths)
    z, after = built_in(x, lengths=lengths)
    same(y, z.numpy())
    same(state, [s.numpy()[0] for s in after])
    first = nn.Recurrent(user.cell, batch_first=True)(x.swapaxes(0, 1), lengths=lengths)[0]
    same(first, y.numpy().swapaxes(0, 1))


def echo(x, h):
    return x, h


def test_a_cell_without_a_state_size_needs_a_state(rng):
    x = tg.tensor(rng.normal(size=(T, B, D)))
    layer = nn.Recurrent(UserCell())
    with pytest.raises(tg.ShapeError, match=r"UserCell has no state_size"):
        layer(x)
    with pytest.raises(tg.ShapeError, match=r"the cell echo has no state_size"):
        nn.Recurrent(echo)(x)
    y, _ = layer(x, (tg.zeros((B, H), "float64"), tg.zeros((B, H), "float64")))
    assert y.shape == (T, B, H)


class Memory(nn.Module):
    """A cell whose state is a matrix for each sample, and a vector beside it if it has room for one."""

    def __init__(self, state_size):
        self.W, self.state_size = nn.Parameter(np.full((D, H), 0.1)), state_size

    def __call__(self, x, state):
        key = tg.tanh(x @ self.W)
        memory, *rest = state if isinstance(state, tuple) else (state,)
        memory = 0.9 * memory + tg.expand_dims(key, -1) * tg.expand_dims(key, -2)
        return tg.sum(memory, axis=-1), (memory, rest[0] + key) if rest else memory


@pytest.mark.parametrize("state_size", [nn.Shape(H, H), (nn.Shape(H, H), H)], ids=repr)
def test_a_state_of_several_axes_is_said_by_its_shape(rng, state_size):
    x, cell = tg.tensor(rng.normal(size=(T, B, D))), Memory(state_size)
    zeros = (tg.zeros((B, H, H), "float64"), tg.zeros((B, H), "float64"))
    y, last = nn.Recurrent(cell)(x)
    z, after = nn.Recurrent(cell)(x, zeros if isinstance(state_size, tuple) else zeros[0])
    same(y, z.numpy())
    same(last, tree.map_leaves(lambda leaf: leaf.numpy(), after))
    assert tree.leaves(last)[0].shape == (B, H, H)


@pytest.mark.parametrize("axes", [(-1,), (2.5, 4), ("4",), (True,)])
def test_a_shape_of_no_size_is_refused(axes):
    with pytest.raises(tg.ArgumentError, match=r"Shape: axes\[0\] must be"):
        nn.Shape(*axes)


def test_a_users_cell_may_read_class_numbers():
    class Reader(nn.Module):
        state_size = H

        def __init__(self):
            self.embedding, self.cell = nn.Embedding(7, D, "float64"), nn.GRUCell(D, H, dtype="float64")

        def __call__(self, token, state):
            return self.cell(self.embedding(token), state)

    layer = nn.Recurrent(Reader(), batch_first=True)
    tokens = tg.tensor([[1, 2, 3, 4], [6, 5, 0, 0]])
    y, state = layer(tokens, mask=tokens > 0)
    assert (y.shape, y.dtype, state.shape) == ((2, 4, H), np.float64, (2, H))
    same(state, np.stack([y.numpy()[0, 3], y.numpy()[1, 1]]))
    assert next(iter(layer.state_dict())) == "cell.embedding.weight"


@pytest.mark.parametrize(("batch_first", "layout"), [(False, "T, B"), (True, "B, T")])
def test_a_wrong_shape_is_told_in_the_layout_of_the_layer(batch_first, layout):
    with pytest.raises(tg.ShapeError, match=rf"expected \({layout}, 3\) or \(T, 3\)"):
        tg.nn.GRU(3, 4, batch_first=batch_first)(np.zeros((1, 2, 5, 3), "float32"))
