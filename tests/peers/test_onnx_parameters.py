"""Which of a file's arrays are parameters: what was learned, and not what stood in the code."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.peers.onnx_files import apart, model_of, runtime, written
from tinygrad_rnn import nn
from tinygrad_rnn.interop.onnx import export, load

pytestmark = [pytest.mark.peer, pytest.mark.numpy_only]
onnx = pytest.importorskip("onnx")
helper = onnx.helper

T, B, D, H = 4, 3, 2, 5
KIND = "pkg.torch.export.graph_signature.InputSpec.kind"


def floats(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def recurrent(rng, kind, state, nodes, **weights):
    """A file with one recurrent operator, whose initial states are the value ``state``."""
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    states = [state] * (2 if kind == "LSTM" else 1)
    node = helper.make_node(kind, ["x", "W", "R", "", "", *states], ["y"], hidden_size=H)
    held = {"W": floats(rng, 1, gates * H, D), "R": floats(rng, 1, gates * H, H), **weights}
    x = floats(rng, T, B, D)
    return model_of([*nodes, node], {"x": x}, ["y"], held), x


def names(path):
    return [name for name, _ in load(path).named_parameters()]


def trained(path, x, steps=3):
    """A model after some steps of Adam."""
    model = load(path)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        tg.sum(tg.sin(model(x)[0])).backward()
        optimizer.step()
    return model


EXPANDED = [
    helper.make_node("Shape", ["x"], ["batch"], start=1, end=2),
    helper.make_node("Concat", ["one", "batch", "units"], ["shape"], axis=0),
    helper.make_node("Expand", ["fill", "shape"], ["state"]),
]
SHAPE = {"one": np.array([1]), "units": np.array([H])}


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("fill", [np.zeros((), "f"), np.full((1, 1, 1), 0.25, "f")], ids=["0", "1/4"])
def test_a_number_that_is_expanded_to_a_state_stays(kind, fill, rng, tmp_path):
    """So does PyTorch's exporter write zeros."""
    pytest.importorskip("onnxruntime")
    message, x = recurrent(rng, kind, "state", EXPANDED, fill=fill, **SHAPE)
    path, out = written(tmp_path / "model.onnx", message), str(tmp_path / "out.onnx")
    assert names(path) == ["W", "R"]
    model = trained(path, x)
    export(model, out)
    (kept,) = [one for one in onnx.load(out).graph.initializer if one.name == "fill"]
    assert np.array_equal(onnx.numpy_helper.to_array(kept), fill)
    assert apart(runtime(out, x), model(x)) < 1e-5


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_states_that_are_learned_and_those_that_are_not(kind, rng, tmp_path):
    cut = helper.make_node("Slice", ["h0", "zero", "one", "zero"], ["state"])
    ends = {"zero": np.array([0]), "one": np.array([1])}
    for h0, learned in [(np.zeros((2, B, H), "f"), False), (floats(rng, 2, B, H), True)]:
        message, _ = recurrent(rng, kind, "state", [cut], h0=h0, **ends)
        assert ("h0" in names(written(tmp_path / "cut.onnx", message))) is learned
        message, _ = recurrent(rng, kind, "h0", [], h0=h0[:1])
        assert ("h0" in names(written(tmp_path / "direct.onnx", message))) is learned
    message, x = recurrent(rng, kind, "state", EXPANDED, fill=floats(rng, 1, 1, H), **SHAPE)
    path = written(tmp_path / "expanded.onnx", message)
    assert "fill" in names(path), "one state for all samples is learned"
    before = load(path).weights["fill"].numpy()
    assert abs(trained(path, x).weights["fill"].numpy() - before).max() > 0.01


def test_what_operators_never_learn(rng, tmp_path):
    """Bounds, exponents, fills, statistics, scalars, thresholds; what weighs or is added is learned."""
    nodes = [
        helper.make_node("BatchNormalization", ["x", "scale", "bias", "mean", "var"], ["a"]),
        helper.make_node("Identity", ["low"], ["bound"]),
        helper.make_node("Clip", ["a", "bound", "high"], ["b"]),
        helper.make_node("Pow", ["b", "two"], ["c"]),
        helper.make_node("Mul", ["c", "half"], ["d"]),
        helper.make_node("Pad", ["d", "pads", "filled"], ["e"]),
        helper.make_node("Shape", ["like"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("Add", ["e", "zeros"], ["f"]),
        helper.make_node("Greater", ["f", "edge"], ["more"]),
        helper.make_node("Where", ["more", "f", "other"], ["g"]),
        helper.make_node("Mul", ["g", "slope"], ["h"]),
        helper.make_node("Add", ["h", "shift"], ["y"]),
    ]
    arrays = {
        "scale": floats(rng, D), "bias": floats(rng, D), "mean": floats(rng, D), "var": abs(floats(rng, D)),
        "low": np.array(-3, "f"), "high": np.array(3, "f"), "two": np.array([2], "f"),
        "half": np.array(0.5, "f"), "pads": np.zeros(4, int), "filled": np.array(1, "f"),
        "like": floats(rng, B, D), "edge": floats(rng, D), "other": floats(rng, D),
        "slope": floats(rng, 1), "shift": floats(rng, D),
    }  # fmt: skip
    path = written(tmp_path / "model.onnx", model_of(nodes, {"x": floats(rng, B, D)}, ["y"], arrays))
    assert names(path) == ["scale", "bias", "other", "slope", "shift"]


def normalised(rng, said):
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["a"]),
        helper.make_node("Div", ["a", "std"], ["b"]),
        helper.make_node("MatMul", ["b", "w"], ["c"]),
        helper.make_node("Mul", ["c", "temperature"], ["y"]),
    ]
    arrays = {
        "mean": floats(rng, D), "std": abs(floats(rng, D)) + 1, "w": floats(rng, D, H),
        "temperature": np.array(1.5, "f"),
    }  # fmt: skip
    x = floats(rng, B, D)
    message = model_of(nodes, {"x": x}, ["y"], arrays)
    for name, kind in said.items():
        value = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, arrays[name].shape)
        helper.set_metadata_props(value, {KIND: kind})
        message.graph.value_info.append(value)
    return message, x


def test_what_the_file_says_counts(rng, tmp_path):
    """As PyTorch's exporter says it."""
    message, x = normalised(rng, {"mean": "BUFFER", "std": "CONSTANT_TENSOR", "temperature": "PARAMETER"})
    path = written(tmp_path / "model.onnx", message)
    assert names(path) == ["w", "temperature"]
    export(trained(path, x), tmp_path / "out.onnx")
    assert names(tmp_path / "out.onnx") == ["w", "temperature"]


def test_a_parameter_is_frozen(rng, tmp_path):
    """Where the file says nothing, a mean looks like any other array."""
    message, x = normalised(rng, {})
    model = load(written(tmp_path / "model.onnx", message))
    parameters = dict(model.named_parameters())
    assert list(parameters) == ["mean", "std", "w"]
    before = model.state_dict()
    for name in ("mean", "std"):
        parameters[name].requires_grad_(False)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.1)
    tg.sum(tg.sin(model(x)[0])).backward()
    optimizer.step()
    moved = {name: abs(p.numpy() - before[name].numpy()).max() > 0 for name, p in parameters.items()}
    assert moved == {"mean": False, "std": False, "w": True}


class Normalised(nn.Module):
    def __init__(self, rng):
        self.mean, self.std = tg.tensor(floats(rng, D)), tg.tensor(abs(floats(rng, D)) + 1)
        self.recurrent = nn.GRU(D, H)
        self.scale = nn.Parameter(np.array(1.5, "f"))
        self.h0 = nn.Parameter(np.zeros((1, 1, H), "f"))

    def forward(self, x):
        h = tg.broadcast_to(self.h0, (1, x.shape[1], H))
        return self.recurrent((x - self.mean) / self.std, h)[0] * self.scale


def test_a_written_model_has_its_own_parameters_again(rng, tmp_path):
    pytest.importorskip("onnxruntime")
    model, path, x = Normalised(rng), str(tmp_path / "model.onnx"), floats(rng, T, B, D)
    export(model, path, x)
    loaded = load(path)
    assert sorted(names(path)) == ["h0", "recurrent.l0.B", "recurrent.l0.R", "recurrent.l0.W", "scale"]
    assert apart(runtime(path, x), [model(x)]) < 1e-5
    for one in (model, loaded):
        y = one(x)
        tg.sum(tg.sin(y if one is model else y[0])).backward()
    for name in ("scale", "h0"):
        assert abs(loaded.weights[name].grad.numpy() - getattr(model, name).grad.numpy()).max() < 1e-5


def test_the_parameters_of_a_function(rng, tmp_path):
    path, layer, shift = str(tmp_path / "model.onnx"), nn.RNN(D, H), tg.tensor(floats(rng, H))
    weight = tg.tensor(floats(rng, H)).requires_grad_()
    export(lambda x: layer(x)[0] * weight + shift, path, floats(rng, T, B, D))
    assert {p.shape for p in load(path).parameters()} == {(1, H, D), (1, H, H), (1, 2 * H), (H,)}
    assert len(load(path).parameters()) == 4, "the shift is none"
