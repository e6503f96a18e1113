"""RNN, LSTM and GRU of random options, loaded: beside onnxruntime, beside ONNX's reference in float64, and
with the gradients of PyTorch's own layers."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.peers.onnx_files import apart, model_of, runtime, written
from tinygrad_rnn.interop.onnx import load

pytestmark = [pytest.mark.peer, pytest.mark.numpy_only]
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper = onnx.helper

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
ACTIVATIONS = {  # with how many numbers: alpha, alpha and beta
    "Tanh": 0, "Sigmoid": 0, "Relu": 0, "Softsign": 0, "Softplus": 0, "LeakyRelu": 1, "ThresholdedRelu": 1,
    "Elu": 1, "HardSigmoid": 2, "ScaledTanh": 2, "Affine": 2,
}  # fmt: skip
OWN_NUMBERS = {"LeakyRelu", "Elu", "HardSigmoid"}
"""Those that onnxruntime also computes where no number is given."""


def activations(rng, count):
    """Random activations, with numbers for all that have some, or for none of them."""
    with_numbers = rng.random() < 0.7
    names = [n for n, numbers in ACTIVATIONS.items() if with_numbers or not numbers or n in OWN_NUMBERS]
    chosen = [str(name) for name in rng.choice(names, count)]
    found = {"activations": chosen}
    if with_numbers:
        alphas = [float(a) for a in rng.uniform(0.2, 0.9, sum(ACTIVATIONS[n] >= 1 for n in chosen))]
        betas = [float(b) for b in rng.uniform(0.2, 0.9, sum(ACTIVATIONS[n] == 2 for n in chosen))]
        found |= {"activation_alpha": alphas} if alphas else {}
        found |= {"activation_beta": betas} if betas else {}
    return found


def node_of(rng, kind, dtype="float32", plain=False):
    """A node of random options: the model, and the arrays that it is called with.

    Args:
        plain: without what ONNX's reference does not know.
    """
    t, b, i, h = (int(n) for n in rng.integers(1, 6, 4))
    direction = "forward" if plain else str(rng.choice(["forward", "reverse", "bidirectional"]))
    d, g = 1 + (direction == "bidirectional"), GATES[kind]

    def array(*shape):
        return (rng.normal(size=shape) * 0.7).astype(dtype)

    def some(value, chance=0.6):
        return value if rng.random() < chance else None

    weights = {"W": array(d, g * h, i), "R": array(d, g * h, h), "B": some(array(d, 2 * g * h))}
    states = {"initial_h": some(array(d, b, h))}
    lengths = None if plain else some(rng.integers(1, t + 1, b).astype("int32"), 0.4)
    attributes = {"hidden_size": h, "direction": direction}
    if kind == "LSTM":
        states["initial_c"] = some(array(d, b, h))
        weights["P"] = some(array(d, 3 * h))
    if kind == "GRU":
        attributes["linear_before_reset"] = int(rng.integers(2))
    if not plain:
        attributes |= some({"clip": float(rng.uniform(0.3, 1.5))}, 0.4) or {}
        attributes |= some(activations(rng, d * {"RNN": 1, "GRU": 2, "LSTM": 3}[kind]), 0.6) or {}
        if kind == "LSTM":
            attributes["input_forget"] = int(rng.random() < 0.3)
    x = array(t, b, i)
    given = {"X": x, "sequence_lens": lengths, **states}
    names = ["X", "W", "R", "B", "sequence_lens", *states, *(["P"] if kind == "LSTM" else [])]
    there = {**weights, **given}
    inputs = [name if there.get(name) is not None else "" for name in names]
    outputs = ["Y", "Y_h", *(["Y_c"] if kind == "LSTM" else [])]
    node = helper.make_node(kind, inputs, outputs, "cell", **attributes)
    used = {name: a for name, a in given.items() if a is not None}
    held = {name: a for name, a in weights.items() if a is not None}
    return model_of([node], used, outputs, held), list(used.values())


@pytest.mark.parametrize("kind", sorted(GATES))
@pytest.mark.parametrize("seed", range(50))
def test_random_options_beside_onnxruntime(kind, seed, tmp_path):
    rng = np.random.default_rng([seed, len(kind), ord(kind[0])])
    model, arrays = node_of(rng, kind)
    path = written(tmp_path / "model.onnx", model)
    assert apart(load(path)(*arrays), runtime(path, *arrays)) < 1e-5


@pytest.mark.parametrize("kind", sorted(GATES))
@pytest.mark.parametrize("seed", range(10))
def test_random_options_beside_the_reference_in_float64(kind, seed, tmp_path):
    from onnx.reference import ReferenceEvaluator

    rng = np.random.default_rng([seed, 64])
    model, arrays = node_of(rng, kind, "float64", plain=True)
    names = [one.name for one in model.graph.input]
    expected = ReferenceEvaluator(model).run(None, dict(zip(names, arrays, strict=True)))
    ours = load(written(tmp_path / "model.onnx", model))(*arrays)
    for y, other in zip(ours, expected, strict=True):
        assert y.size == other.size  # the reference has no axis of directions in some outputs
        assert abs(y.numpy().reshape(-1) - np.asarray(other).reshape(-1)).max() < 1e-12


@pytest.mark.parametrize("kind", sorted(GATES))
def test_batch_first_is_the_same_with_other_axes(kind, rng, tmp_path):
    t, b, i, h, d, g = 5, 3, 4, 6, 2, GATES[kind]
    weights = {"W": rng.normal(size=(d, g * h, i)), "R": rng.normal(size=(d, g * h, h))}
    x, h0 = rng.normal(size=(t, b, i)), rng.normal(size=(d, b, h))
    results = []
    for layout, given in ((0, (x, h0)), (1, (x.swapaxes(0, 1), h0.swapaxes(0, 1)))):
        node = helper.make_node(
            kind,
            ["X", "W", "R", "", "", "h"],
            ["Y", "Y_h"],
            hidden_size=h,
            direction="bidirectional",
            layout=layout,
        )
        model = model_of([node], {"X": given[0], "h": given[1]}, ["Y", "Y_h"], weights)
        results.append(load(written(tmp_path / "model.onnx", model))(*given))
    (y, last), (other, other_last) = results
    assert np.array_equal(y.numpy().transpose(2, 0, 1, 3), other.numpy())
    assert np.array_equal(last.numpy().swapaxes(0, 1), other_last.numpy())


def test_a_sample_without_steps_beside_onnxruntime(rng, tmp_path):
    arrays = [rng.normal(size=(4, 2, 3)).astype("f"), np.array([4, 0], "int32"), np.ones((1, 2, 5), "f")]
    weights = {"W": rng.normal(size=(1, 20, 3)).astype("f"), "R": rng.normal(size=(1, 20, 5)).astype("f")}
    node = helper.make_node("LSTM", ["X", "W", "R", "", "n", "h", "h"], ["Y", "Y_h", "Y_c"], hidden_size=5)
    model = model_of([node], dict(zip(["X", "n", "h"], arrays, strict=True)), ["Y", "Y_h", "Y_c"], weights)
    path = written(tmp_path / "model.onnx", model)
    assert apart(load(path)(*arrays), runtime(path, *arrays)) < 1e-5


# -- gradients -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(GATES))
def test_gradients_beside_finite_differences(kind, rng, tmp_path):
    """Of the file's arrays and of the input, to second order."""
    model, arrays = node_of(np.random.default_rng(11), kind, "float64")
    loaded = load(written(tmp_path / "model.onnx", model))
    floats = [a for a in arrays if a.dtype.kind == "f"]
    others = [a for a in arrays if a.dtype.kind != "f"]
    assert floats[0] is arrays[0]
    weights = loaded.parameters()

    def loss(*values):
        given = iter(values[len(weights) :])
        for (name, _), value in zip(loaded.weights.copy().items(), values, strict=False):
            loaded.weights[name] = value
        rest = iter(others)
        ys = loaded(*(next(given) if a.dtype.kind == "f" else next(rest) for a in arrays))
        return sum(tg.sum(tg.sin(y)) for y in ys)

    tg.check_gradients(loss, *[w.numpy().copy() for w in weights], *floats, order=2)


class Theirs:
    """A model of PyTorch's, made when the package is there."""

    def __new__(cls, torch, kind, **options):
        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding = torch.nn.Embedding(11, 4, dtype=torch.float64)
                self.recurrent = getattr(torch.nn, kind)(4, 5, dtype=torch.float64, **options)
                self.norm = torch.nn.LayerNorm(
                    5 * (1 + options.get("bidirectional", False)), dtype=torch.float64
                )
                self.head = torch.nn.Linear(self.norm.normalized_shape[0], 3, dtype=torch.float64)

            def forward(self, tokens):
                y, _ = self.recurrent(self.embedding(tokens))
                return torch.log_softmax(self.head(torch.tanh(self.norm(y))), -1)

        return Model().eval()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", sorted(GATES))
@pytest.mark.parametrize(
    "options",
    [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False, "batch_first": True}],
    ids=["plain", "deep", "batch first"],
)
def test_a_model_of_pytorch_and_all_its_gradients(kind, options, rng, tmp_path):
    """PyTorch's own exporter writes it; its arrays are the parameters, in other orders and shapes: each of
    ours has the gradient of the sum over PyTorch's that it was made of."""
    torch = pytest.importorskip("torch")
    theirs = Theirs(torch, kind, **options)
    tokens = rng.integers(0, 11, (6, 2))
    path = str(tmp_path / "model.onnx")
    torch.onnx.export(
        theirs, (torch.tensor(tokens),), path, dynamo=False, opset_version=17, input_names=["tokens"],
        dynamic_axes={"tokens": {0: "a", 1: "b"}},
    )  # fmt: skip
    ours = load(path)
    weights = rng.normal(size=(6, 2, 3))
    (y,) = ours(tokens)
    expected = theirs(torch.tensor(tokens))
    assert abs(y.numpy() - expected.detach().numpy()).max() < 1e-9
    tg.sum(y * tg.tensor(weights)).backward()
    (expected * torch.tensor(weights)).sum().backward()
    # whatever the arrays are called and however they lie: the norm of all residuals, and a step along them
    found = sorted(float(tg.sum(p.grad * p.grad).item()) for p in ours.parameters() if p.grad is not None)
    assert abs(sum(found) - sum(float((p.grad**2).sum()) for p in theirs.parameters())) < 1e-9 * sum(found)
    for p in ours.parameters():
        p.data = p.numpy() - 0.01 * p.grad.numpy()
    with torch.no_grad():
        for p in theirs.parameters():
            p -= 0.01 * p.grad
    assert abs(ours(tokens)[0].numpy() - theirs(torch.tensor(tokens)).detach().numpy()).max() < 1e-9


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("B", (32,)), ("B", (1, 16)), ("B", (2, 32)), ("initial_h", (1, 2, 4)), ("initial_h", (2, 1, 4)),
        ("initial_h", (1, 4)), ("initial_c", (1, 1, 3)), ("P", (1, 3)), ("P", (2, 12)), ("P", (12,)),
    ],
)  # fmt: skip
def test_an_input_of_another_shape_is_named(name, shape, tmp_path):
    """It would be spread over other axes; onnxruntime refuses it too."""
    shapes = {
        "X": (2, 1, 3), "W": (1, 16, 3), "R": (1, 16, 4), "B": (1, 32), "initial_h": (1, 1, 4),
        "initial_c": (1, 1, 4), "P": (1, 12), name: shape,
    }  # fmt: skip
    inputs = ["X", "W", "R", "B", "", "initial_h", "initial_c", "P"]
    node = onnx.helper.make_node("LSTM", inputs, ["Y"], hidden_size=4, name="memory")
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [onnx.helper.make_tensor_value_info(n, floats, s) for n, s in shapes.items()],
        [onnx.helper.make_tensor_value_info("Y", floats, None)],
    )
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    onnx.save(made, tmp_path / "a.onnx")
    model = tg.interop.onnx.load(tmp_path / "a.onnx")
    with pytest.raises(tg.ShapeError, match=rf"(?s)(memory.*{name} has shape|{name} has shape.*memory)"):
        model(*(np.ones(s, "float32") for s in shapes.values()))
