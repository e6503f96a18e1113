"""The walker, state dicts, initial values and the layers without memory."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.nn import init


class Tree(nn.Module):
    """Parameters in every kind of nesting, one of them shared."""

    def __init__(self):
        self.w = nn.Parameter([1.0, 2.0])
        self.parts = [
            nn.Linear(2, 3),
            {"a": nn.Parameter(np.ones((2, 2))), "b": (nn.Parameter([3.0]), "no parameter")},
        ]
        self.tied = self.w
        self.plain = tg.tensor([4.0], requires_grad=True)
        self.constant = tg.tensor([5.0])
        self.kept_result = self.plain * 2
        self.owner = self  # what holds itself is walked once


NAMES = ["w", "parts.0.weight", "parts.0.bias", "parts.1.a", "parts.1.b.0", "plain"]


def test_names_are_dotted_in_order_and_shared_parameters_come_once():
    tree = Tree()
    assert [name for name, _ in tree.named_parameters()] == NAMES
    assert len(tree.parameters()) == len(NAMES)
    assert list(tree.state_dict()) == [*NAMES[:5], "tied", "plain"]
    assert [type(m).__name__ for m in tree.modules()] == ["Tree", "Linear"]


def test_a_frozen_parameter_stays_a_parameter():
    layer = nn.Linear(2, 1)
    layer.weight.requires_grad_(False)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


def test_whole_numbers_are_no_parameter():
    with pytest.raises(tg.DtypeError, match="float"):
        nn.Parameter(np.arange(3))


def test_state_dict_round_trip_and_independence_from_training():
    one, other = Tree(), Tree()
    other.load_state_dict(one.state_dict())
    before = {name: value.numpy().copy() for name, value in one.state_dict().items()}
    kept = one.state_dict()
    tg.sum(one.w * one.w).backward()
    tg.optim.SGD(one.parameters(), lr=0.1).step()
    for name, value in kept.items():
        assert np.array_equal(value.numpy(), before[name])
    assert not np.array_equal(one.w.numpy(), before["w"])


def test_load_accepts_arrays_and_lists_and_keeps_dtype_and_identity():
    layer = nn.Linear(2, 1)
    weight = layer.weight
    layer.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": [3]})
    assert layer.weight is weight
    assert weight.dtype == np.float32
    assert weight.numpy().tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bias": None}, "missing: bias"),
        ({"extra": np.ones(1)}, "unexpected: extra"),
        ({"bias": np.ones(4)}, r"bias: shape \(4,\) does not fit the parameter's \(3,\)"),
        ({"bias": np.array(["a", "b", "c"])}, "bias: cannot make a tensor"),
        ({"bias": object()}, "bias: cannot make a tensor"),
        ({"bias": np.ones(3) * 1j}, "bias: cannot make a tensor"),
    ],
)
def test_bad_state_dicts_change_nothing(change, said):
    layer = nn.Linear(2, 3)
    before = {name: value.numpy().copy() for name, value in layer.state_dict().items()}
    values = {
        name: value
        for name, value in ({"weight": np.zeros((3, 2)), "bias": np.zeros(3)} | change).items()
        if value is not None
    }
    with pytest.raises(tg.CheckpointError, match=said):
        layer.load_state_dict(values)
    for name, value in layer.state_dict().items():
        assert np.array_equal(value.numpy(), before[name])


def test_load_without_strict_takes_what_fits_by_name_and_tells_the_rest():
    layer = nn.Linear(2, 1)
    names = layer.load_state_dict({"bias": [7.0], "extra": [1.0]}, strict=False)
    assert layer.bias.numpy().tolist() == [7]
    assert (names.missing_keys, names.unexpected_keys) == (["weight"], ["extra"])
    assert layer.load_state_dict(layer.state_dict()) == ([], [])
    with pytest.raises(tg.CheckpointError, match="shape"):
        layer.load_state_dict({"bias": [7.0, 8.0]}, strict=False)


class Held(nn.Module):
    def __init__(self, held):
        self.held = held


def _attributes(**held):
    module = Held(0)
    for name, value in held.items():
        setattr(module, name.replace("_", "."), value)
    return module


@pytest.mark.parametrize(
    "make",
    [
        lambda a, b: Held({1: a, "1": b}),
        lambda a, b: Held({"a.b": a, "a": {"b": b}}),
        lambda a, b: Held([{"x.0": a, "x": [b]}]),
        lambda a, b: _attributes(held_x=a, held={"x": b}),
        lambda a, b: Held({None: a, "None": b}),
        lambda a, b: Held([Held({(1,): a}), Held({(1,): b, "(1,)": a})]),
    ],
)
def test_one_name_for_two_parameters_is_an_error(make, tmp_path):
    a, b = nn.Parameter([1.0]), nn.Parameter([2.0])
    module = make(a, b)
    assert {id(p) for p in module.parameters()} == {id(a), id(b)}  # training is as ever
    assert "float32[1]" in repr(module)
    path = tmp_path / "names.safetensors"
    for call in (
        lambda: list(module.named_parameters()),
        module.state_dict,
        lambda: module.load_state_dict({}, strict=False),
        lambda: tg.save(path, module),
    ):
        with pytest.raises(tg.CheckpointError, match="two parameters have the name"):
            call()
    assert not path.exists()


def test_one_parameter_may_have_a_name_twice():
    a = nn.Parameter([1.0])
    assert list(Held({1: a, "1": a}).state_dict()) == ["held.1"]


def test_what_a_subclass_of_a_layer_adds_counts():
    class Scaled(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(2, 3), tg.tanh)
            self.scale = nn.Parameter([2.0])

    class Counted(nn.LSTM):
        def __init__(self):
            super().__init__(2, 3)
            self.start = nn.Parameter([0.0])

    assert list(Scaled().state_dict()) == ["0.weight", "0.bias", "scale"]
    assert [*Counted().state_dict()][-2:] == ["bias_hh_l0", "start"]


def test_train_eval_zero_grad_astype():
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5), tg.tanh)
    assert model.eval() is model
    assert [m.training for m in model.modules()] == [False] * 3
    assert all(m.training for m in model.train().modules())
    tg.sum(model(tg.ones((4, 3)))).backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    assert {p.dtype.name for p in model.astype("float64").parameters()} == {"float64"}
    with pytest.raises(tg.DtypeError):
        model.astype(int)


def test_to_moves_the_same_parameters(backend):
    layer = nn.Linear(2, 1)
    weight = layer.weight
    assert layer.to("numpy").weight is weight
    assert weight.backend == "numpy"
    assert layer.to(backend).weight.backend == backend
    with pytest.raises(tg.BackendError):
        layer.to("abacus")


def test_modules_can_be_copied():
    lstm = nn.LSTM(2, 3)
    twin = copy.deepcopy(lstm)
    assert twin.weight_ih_l0 is not lstm.weight_ih_l0
    assert np.array_equal(twin.weight_ih_l0.numpy(), lstm.weight_ih_l0.numpy())


def test_repr_lists_the_parameters():
    assert repr(nn.Linear(2, 1)) == "Linear(\n  weight: float32[1, 2]\n  bias: float32[1]\n)"
    assert repr(nn.Dropout()) == "Dropout()"


# -- initial values ------------------------------------------------------------------------------------------


def test_moments_of_the_initialisers():
    shape = (300, 200)
    for values, spread in [
        (init.uniform(shape, 0.3), 0.3 / np.sqrt(3)),
        (init.normal(shape, 0.2), 0.2),
        (init.glorot_uniform(shape), np.sqrt(2 / 500)),
        (init.glorot_normal(shape, gain=2.0), 2 * np.sqrt(2 / 500)),
    ]:
        assert abs(values.mean()) < 5 * spread / np.sqrt(values.size)
        assert values.std() == pytest.approx(spread, rel=0.02)
        assert values.dtype == np.float32
    assert abs(init.uniform(shape, 0.3)).max() <= 0.3


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_orthogonal(shape):
    w = init.orthogonal(shape, gain=2.0, dtype="float64")
    gram = w @ w.T if shape[0] < shape[1] else w.T @ w
    assert np.allclose(gram, 4 * np.eye(min(shape)))


def test_identity_zeros_and_forget_gate():
    assert np.array_equal(init.identity((2, 3), 0.5), 0.5 * np.eye(2, 3))
    assert not init.zeros((2, 3)).any()
    assert init.forget_gate_bias(2, 1.5).tolist() == [0, 0, 1.5, 1.5, 0, 0, 0, 0]
    with pytest.raises(tg.ShapeError, match="matrix"):
        init.orthogonal((3,))


def test_a_seed_means_the_same_in_every_dtype():
    tg.random.seed(3)
    single = nn.LSTM(3, 4)
    tg.random.seed(3)
    double = nn.LSTM(3, 4, dtype="float64")
    for p, q in zip(single.parameters(), double.parameters(), strict=True):
        assert np.array_equal(p.numpy(), q.numpy().astype(np.float32))
        assert abs(q.numpy()).max() <= 0.5


# -- layers --------------------------------------------------------------------------------------------------


def test_linear(rng):
    layer = nn.Linear(3, 2, dtype="float64")
    x = rng.normal(size=(4, 5, 3))
    w, b = layer.weight.numpy(), layer.bias.numpy()
    assert np.allclose(layer(tg.tensor(x)).numpy(), x @ w.T + b)
    assert np.allclose(layer(tg.tensor(x[0, 0])).numpy(), w @ x[0, 0] + b)
    assert layer(tg.zeros((0, 3), "float64")).shape == (0, 2)
    bare = nn.Linear(3, 2, bias=False)
    assert list(bare.state_dict()) == ["weight"]
    with pytest.raises(tg.ShapeError, match=r"Linear.*\(4, 2\).*\(…, 3\)"):
        layer(tg.zeros((4, 2)))
    with pytest.raises(tg.DtypeError, match=r"float32.*float64.*astype"):
        layer(tg.zeros((4, 3)))
    with pytest.raises(tg.DtypeError, match="Embedding"):
        layer(tg.zeros((4, 3), "int64"))
    tg.check_gradients(lambda v: tg.sum(layer(v) ** 2), tg.tensor(x))


def test_embedding():
    layer = nn.Embedding(5, 3)
    y = layer(tg.tensor([[1, 4], [1, 0]]))
    assert np.array_equal(y.numpy(), layer.weight.numpy()[[[1, 4], [1, 0]]])
    tg.sum(y).backward()
    assert layer.weight.grad.numpy()[:, 0].tolist() == [1, 2, 0, 0, 1]
    with pytest.raises(tg.DtypeError):
        layer(tg.tensor([1.0]))


@pytest.mark.parametrize("row", [5, -1, -5, 10**6])
def test_embedding_names_a_row_that_is_not_there(row, backend):
    layer = nn.Embedding(5, 3)
    for rows in ([0, row], np.array([0, row])):
        with pytest.raises(tg.IndexRangeError, match=rf"{row} at \[1\] lies outside of 0 … 4"):
            layer(rows)
    if backend == "numpy":
        with pytest.raises(tg.IndexRangeError):
            layer(tg.tensor([0, row]))
    else:  # a device would have to be waited for: what comes out is no number
        assert np.isnan(layer(tg.tensor([0, row])).numpy()).all(axis=1).tolist() == [False, True]


def test_layer_norm_in_float16(rng):
    """Squares leave the range of float16 and a small eps is 0 in it: both are taken in float32."""
    x = (rng.normal(size=(3, 8)) * 500).astype(np.float16)
    x[1] = 7
    y = nn.LayerNorm(8, eps=1e-12, dtype="float16")(tg.tensor(x))
    wide = x.astype(float)
    expected = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-12)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.numpy(), expected, atol=2e-3)


@pytest.mark.parametrize("shape", [4, (3, 4)])
def test_layer_norm(rng, shape):
    layer = nn.LayerNorm(shape, dtype="float64")
    layer.weight.data = rng.normal(size=layer.weight.shape)
    layer.bias.data = rng.normal(size=layer.bias.shape)
    x = rng.normal(size=(2, 3, 4))
    axes = (2,) if shape == 4 else (1, 2)
    centred = x - x.mean(axes, keepdims=True)
    expected = (
        centred / np.sqrt(x.var(axes, keepdims=True) + 1e-5) * layer.weight.numpy() + layer.bias.numpy()
    )
    assert np.allclose(layer(tg.tensor(x)).numpy(), expected)
    with pytest.raises(tg.ShapeError, match="LayerNorm"):
        layer(tg.zeros((2, 3, 5), "float64"))


def test_dropout():
    x = tg.tensor(np.ones((100, 100)), requires_grad=True)
    layer = nn.Dropout(0.25)
    y = layer(x)
    assert set(np.unique(y.numpy())) == {0, 1 / 0.75}
    assert y.numpy().mean() == pytest.approx(1, abs=0.03)
    tg.sum(y).backward()
    assert np.array_equal(x.grad.numpy(), y.numpy())
    assert layer.eval()(x) is x
    assert not nn.Dropout(1.0)(x).numpy().any()
    tg.random.seed(1)
    first = nn.Dropout(0.5)(x).numpy()
    tg.random.seed(1)
    assert np.array_equal(nn.Dropout(0.5)(x).numpy(), first)
    with pytest.raises(tg.ArgumentError, match="probability"):
        nn.Dropout(1.5)


# -- forward -------------------------------------------------------------------------------------------------


def step(self, x, state):
    gate = tg.sigmoid(x @ self.W + state @ self.U)
    hidden = gate * tg.tanh(state + x @ self.W)
    return hidden, hidden


def cell_with(*names):
    """A cell whose class has the step under these names."""

    def init(self):
        self.state_size = 4
        self.W, self.U = nn.Parameter(np.full((3, 4), 0.1)), nn.Parameter(np.eye(4) * 0.3)

    return type("Gated", (nn.Module,), {"__init__": init, **dict.fromkeys(names, step)})()


def test_forward_is_as_good_as_call(rng):
    """The same numbers, the same compiled plan, and the same names in pictures and tables."""
    x = tg.tensor(rng.normal(size=(5, 2, 3)))
    seen = []
    for name in ("__call__", "forward"):
        layer = nn.Recurrent(cell_with(name))
        ys, _ = layer(x)
        loss = tg.sum(ys[-1] ** 2)
        pictures = [tg.draw(loss, view=view).dot for view in ("ops", "steps", "cells")]
        seen.append([ys.tolist(), layer.explain(), *pictures, tg.flow(loss).table()])
        assert "  after      1 weight gradient as one product over all steps" in layer.explain()
        assert "gate" in pictures[0]
    assert seen[0] == seen[1]


def test_forward_of_modules_in_modules_marks_the_tape():
    class Inner(nn.Module):
        def forward(self, x, scale=1.0):
            return x * scale

    class Outer(nn.Module):
        def __init__(self):
            self.inner = Inner()

        def forward(self, x):
            return tg.exp(self.inner(x, scale=2.0))

    outer = Outer()
    y = outer(tg.tensor([1.0], requires_grad=True))
    scopes = [entry.scope for entry in tg.Tape.of(y)]
    assert [scope.label for scope in scopes] == [outer.inner, outer]
    assert scopes[0].outer.label is outer
    assert scopes[0].call == (Inner.forward, (outer.inner, scopes[0].call[1][1]), {"scale": 2.0})
    assert y.item() == pytest.approx(np.exp(2.0))


def test_which_of_call_and_forward_counts():
    class Both(nn.Module):
        def __call__(self, x):
            return self.forward(x) + 1

        def forward(self, x):
            return x * 10

    class Above(Both):
        def forward(self, x):
            return x * 100

    class OverBuiltIn(nn.Linear):
        def forward(self, x):
            return nn.Linear.__call__(self, x) * 0 + 5

    class Mixin:
        def forward(self, x):
            return x - 1

    class Mixed(Mixin, nn.Module):
        pass

    x = tg.tensor([2.0])
    assert Both()(x).tolist() == [21.0]  # __call__, as in PyTorch
    assert Above()(x).tolist() == [200.0]  # the class nearest
    assert OverBuiltIn(1, 1)(x).tolist() == [5.0]
    assert Mixed()(x).tolist() == [1.0]
    assert nn.Sequential(Above(), Mixed())(x).tolist() == [199.0]


def test_a_module_that_does_not_say_what_it_computes():
    class Holder(nn.Module):
        def __init__(self):
            self.forward = nn.Linear(1, 1)

    with pytest.raises(tg.ModuleError, match=r"Holder.*__call__.*forward"):
        Holder()(tg.tensor([1.0]))
    with pytest.raises(NotImplementedError):
        nn.Module()(1)


# -- assigning to parameters ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [lambda w: w.numpy() * 0, lambda w: w.tolist(), lambda w: 0.5])
def test_a_parameter_is_not_lost_by_an_assignment(value):
    layer = nn.Linear(2, 3)
    before = layer.weight
    with pytest.raises(
        tg.ArgumentError, match=r"Linear: weight is a parameter.*weight\.data = .*nn\.Parameter"
    ):
        layer.weight = value(layer.weight)
    assert layer.weight is before
    layer.bias = None
    layer.weight = other = nn.Parameter(np.zeros((3, 2)))
    assert layer.parameters() == [other]


def test_pytorchs_names_of_a_layers_weights_are_the_cells():
    layer = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    names = [name for name, _ in layer.named_parameters()]
    x = tg.ones((2, 1, 3))
    before = layer(x)[0].numpy()
    for name in names:
        with pytest.raises(tg.ArgumentError, match="is a parameter"):
            setattr(layer, name, np.zeros(getattr(layer, name).shape, np.float32))
        setattr(layer, name, nn.Parameter(np.zeros(getattr(layer, name).shape, np.float32)))
    assert [name for name, _ in layer.named_parameters()] == names
    assert layer(x)[0].tolist() == np.zeros_like(before).tolist()
    assert (before != 0).any()
