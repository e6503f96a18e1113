"""Modules: the walker, state dicts, and what one computes."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn


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


@pytest.mark.both_backends
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


@pytest.mark.both_backends
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


def test_repr_says_what_models_and_layers_are_made_of():
    model = nn.Sequential({"on": nn.Dropout(0.2), "to": nn.Linear(2, 1, bias=False), "as": tg.log_softmax})
    assert repr(model).splitlines() == [
        "Sequential(",
        "  on: Dropout(p=0.2)",
        "  to: Linear(",
        "    weight: float32[1, 2]",
        "  )",
        "  as: log_softmax",
        ")",
    ]
    options = {
        "num_layers": 2,
        "bidirectional": True,
        "proj_size": 3,
        "activation": "softsign",
        "zoneout": 0.1,
    }
    layer = nn.LSTM(2, 3, dropout=0.5, variational=True, masked_output="previous", coupled=True, **options)
    said = repr(layer).splitlines()[0]
    for name, value in options.items():
        assert f"{name}={value!r}" in said
    for part in (
        "LSTM(2, 3, ",
        "masked_output='previous'",
        "coupled=True",
        "dropout=0.5",
        "variational=True",
    ):
        assert part in said
    assert "weight_hr_l1_reverse" in repr(layer)
    assert repr(nn.GRU(2, 3)).splitlines()[0] == "GRU(2, 3"
    assert repr(nn.Recurrent(nn.MGUCell(2, 3), outputs="last")).startswith(
        "Recurrent(MGUCell(…), outputs='last'"
    )
    assert repr(nn.Recurrent(step)) == "Recurrent(step)"


def test_a_prefix_that_all_names_have_or_lack_is_named():
    linear = nn.Linear(2, 1)
    values = linear.state_dict()
    with pytest.raises(tg.CheckpointError, match=r"all unexpected names begin with 'model\.net\.'"):
        linear.load_state_dict({f"model.net.{name}": value for name, value in values.items()})
    with pytest.raises(tg.CheckpointError, match=r"all missing names begin with 'head\.'"):
        nn.Sequential({"head": linear}).load_state_dict(values)
    with pytest.raises(tg.CheckpointError) as caught:
        linear.load_state_dict({**values, "other.scale": 1.0})
    assert "begin with" not in str(caught.value)


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


def test_a_module_is_frozen_and_thawed_at_once():
    first, second = nn.Linear(2, 3), nn.Linear(3, 4)
    model = nn.Sequential(first, second)
    names = list(model.state_dict())
    assert first.requires_grad_(False) is first
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]
    assert list(model.state_dict()) == names
    before = [p.numpy().copy() for p in model.parameters()]
    optimizer = tg.optim.SGD(model.parameters(), lr=1.0)
    tg.sum(model(np.ones((5, 2), "float32"))).backward()
    optimizer.step()
    changed = [(p.numpy() != old).any() for p, old in zip(model.parameters(), before, strict=True)]
    assert changed == [False, False, True, True]
    assert all(p.requires_grad for p in model.requires_grad_().parameters())


def test_what_would_be_no_parameter_is_not_frozen():
    class Plain(nn.Module):
        def __init__(self):
            self.first, self.second = nn.Parameter([1.0]), tg.tensor([2.0], requires_grad=True)

    model = Plain()
    with pytest.raises(tg.ArgumentError, match=r"Plain.requires_grad_: second .* nn.Parameter"):
        model.requires_grad_(False)
    assert all(p.requires_grad for p in model.parameters())
