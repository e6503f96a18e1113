"""Modules as ONNX files: onnxruntime computes from them what the library does, at lengths that nobody tried
when they were written, and so does what is loaded again."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.peers.onnx_files import apart, runtime
from tinygrad_rnn import nn, tree
from tinygrad_rnn.interop.onnx import export, load
from tinygrad_rnn.nn import activations

pytestmark = [pytest.mark.peer, pytest.mark.numpy_only]
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

T, B, D, H = 6, 3, 4, 5
SIZES = [(T, B), (9, 2), (1, 1)]


def floats(rng, *shape):
    return (rng.normal(size=shape) * 0.8).astype("float32")


def same(model, path, *calls, tolerance=1e-5):
    """The file, run by onnxruntime and loaded again, gives what the model does; the operators in it."""
    for inputs in calls:
        arrays = [
            x.numpy() if isinstance(x, tg.Tensor) else np.asarray(x) for x in tree.leaves(tuple(inputs))
        ]
        ours = [y.numpy() for y in tree.leaves(model(*inputs))]
        assert apart(runtime(path, *arrays), ours) < tolerance
        assert apart(load(path)(*arrays), ours) < tolerance
    return [node.op_type for node in onnx.load(path).graph.node]


# -- layers of random options --------------------------------------------------------------------------------

NAMES = ["tanh", "relu", "sigmoid", "hard_sigmoid", "softsign", "softplus", "linear", "elu", "leaky_relu"]
ONLY_TRACED = ["silu", "gelu", "selu"]
MADE = [
    lambda rng: activations.affine(*rng.uniform(0.2, 0.9, 2)),
    lambda rng: activations.hard_sigmoid(*rng.uniform(0.2, 0.9, 2)),
    lambda rng: activations.leaky_relu(rng.uniform(0.2, 0.9)),
    lambda rng: activations.thresholded_relu(rng.uniform(0.2, 0.9)),
    lambda rng: activations.scaled_tanh(*rng.uniform(0.2, 0.9, 2)),
    lambda rng: activations.elu(rng.uniform(0.2, 0.9)),
]


def activation(rng):
    if rng.random() < 0.3:
        return MADE[rng.integers(len(MADE))](rng)
    return str(rng.choice(NAMES + ONLY_TRACED))


def layer_of(rng, kind):
    """A layer of random options, and whether ONNX's operators can say it."""
    layers = int(rng.integers(1, 3))
    options = {
        "num_layers": layers,
        "bias": bool(rng.integers(2)),
        "batch_first": bool(rng.integers(2)),
        "bidirectional": bool(rng.integers(2)),
        "merge": str(rng.choice(["concat", "sum", "mean", "mul"])),
        "outputs": str(rng.choice(["all", "last"])),
        "gate_clip": float(rng.uniform(0.3, 1.5)) if rng.random() < 0.3 else None,
        "dropout": 0.5 if layers > 1 and rng.random() < 0.5 else 0.0,
        "zoneout": 0.2 if rng.random() < 0.2 else 0.0,
        "reverse": bool(rng.random() < 0.2),
    }
    options["reverse"] &= not options["bidirectional"]
    chosen = [activation(rng) for _ in range(3)] if rng.random() < 0.6 else []
    if chosen:
        options["activation"] = chosen[0]
        if kind is not nn.RNN:
            options["recurrent_activation"] = chosen[1]
    operator = not options["zoneout"]
    if issubclass(kind, nn.LSTM):
        options["coupled"] = bool(rng.random() < 0.3)
        options["proj_size"] = 3 if rng.random() < 0.2 else 0
        options["cell_clip"] = 0.5 if rng.random() < 0.2 else None
        if chosen:
            options["output_activation"] = chosen[2]
        operator &= not options["proj_size"] and options["cell_clip"] is None
    if kind is nn.PeepholeLSTM:
        options["peepholes"] = str(rng.choice(["ifo", "io", "f", ""]))
    if kind is nn.GRU:
        options["reset"] = str(rng.choice(["after", "before"]))
    used = chosen[: 1 if kind is nn.RNN else 3 if issubclass(kind, nn.LSTM) else 2]
    operator &= not any(one in ONLY_TRACED for one in used if isinstance(one, str))
    return kind(D, H, **options), operator


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.PeepholeLSTM, nn.GRU])
@pytest.mark.parametrize("seed", range(25))
def test_layers_of_random_options(kind, seed, tmp_path):
    rng = np.random.default_rng([seed, len(kind.__name__)])
    tg.random.seed(seed)
    layer, operator = layer_of(rng, kind)
    path = str(tmp_path / "layer.onnx")
    for parameter in layer.parameters():  # some activations have no bound
        parameter.data = parameter.numpy() * 0.5
    export(layer, path)
    assert layer.training, "its mode is as it was"
    layer.eval()
    shapes = [(b, t, D) if layer.batch_first else (t, b, D) for t, b in SIZES]
    kinds = same(layer, path, *[(floats(rng, *shape),) for shape in shapes])
    name = "LSTM" if issubclass(kind, nn.LSTM) else kind.__name__
    assert (name in kinds) is operator
    assert ("Scan" in kinds) is not operator


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.PeepholeLSTM, nn.GRU])
def test_states_and_lengths_are_inputs_where_the_example_has_them(kind, rng, tmp_path):
    layer, path = kind(D, H, num_layers=2, bidirectional=True), str(tmp_path / "layer.onnx")

    def call(t, b):
        h = floats(rng, 4, b, H)
        return floats(rng, t, b, D), (h, h + 1) if issubclass(kind, nn.LSTM) else h, rng.integers(1, t + 1, b)

    export(layer, path, *call(T, B))
    same(layer, path, call(T, B), call(8, 2))
    names = [one.name for one in onnx.load(path).graph.input]
    assert names == (["x", "h", "c", "lengths"] if issubclass(kind, nn.LSTM) else ["x", "h", "lengths"])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reverse": True},
        {"num_layers": 2},
        {"bidirectional": True, "merge": "sum"},
        {"num_layers": 2, "bidirectional": True, "batch_first": True},
        {"reverse": True, "batch_first": True, "zoneout": 0.1},
    ],
    ids=["plain", "reverse", "deep", "both", "deep-both", "scan"],
)
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.PeepholeLSTM, nn.GRU])
def test_the_last_outputs_with_lengths(kind, options, rng, tmp_path):
    """Each sample's own end, zeros for one without steps."""
    layer, path = kind(D, H, outputs="last", **options), str(tmp_path / "layer.onnx")

    def call(t, b, smallest=0):
        shape = (b, t, D) if layer.batch_first else (t, b, D)
        return floats(rng, *shape), None, rng.integers(smallest, t + 1, b)

    export(layer, path, *call(T, B))
    layer.eval()
    for inputs in [call(T, B), call(9, 8), call(1, 1, 1), call(13, 2, 1)]:
        ours = [y.numpy() for y in tree.leaves(layer(*inputs))]
        arrays = [inputs[0], inputs[2]]
        assert apart(runtime(path, *arrays), ours) < 1e-5
        assert apart(load(path)(*arrays), ours) < 1e-5


def test_the_last_outputs_with_lengths_that_stand_in_the_code(rng, tmp_path):
    layer, path = nn.Recurrent(nn.GRUCell(D, H), outputs="last"), str(tmp_path / "layer.onnx")

    def model(x):
        return layer(x, None, [3, 0, 6])

    export(model, path, floats(rng, T, B, D), axes={})
    same(model, path, (floats(rng, T, B, D),))
    with pytest.raises(tg.CheckpointError, match="one for each sample"):
        export(model, path, floats(rng, T, B, D))


def test_the_arrays_have_their_names(tmp_path):
    path = str(tmp_path / "model.onnx")
    model = nn.Sequential(nn.Embedding(7, D), nn.LSTM(D, H), lambda pair: pair[0], nn.Linear(H, 7))
    export(model, path)
    names = [name for name, _ in load(path).named_parameters()]
    assert names == [
        "0.weight",
        "1.l0.W",
        "1.l0.R",
        "1.l0.B",
        "3.weight",
        "3.bias",
    ]
    graph = onnx.load(path).graph
    assert [one.name for one in graph.output] == ["y"]
    assert [axis.dim_param for axis in graph.input[0].type.tensor_type.shape.dim] == ["time", "batch"]


# -- models --------------------------------------------------------------------------------------------------


class Classifier(nn.Module):
    def __init__(self):
        self.embedding = nn.Embedding(10, D)
        self.recurrent = nn.GRU(D, H, num_layers=2)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(H, 3)

    def forward(self, tokens, h=None):
        y, h = self.recurrent(self.embedding(tokens), h)
        return self.head(self.dropout(y)[-1]), tg.mean(y, 0), h


class Attention(nn.Module):
    """Much of what traced models do: means and softmax over time, indices, new axes, parts, zeros."""

    def __init__(self):
        self.widen = nn.Linear(D, H)
        self.recurrent = nn.LSTM(H, H)
        self.norm = nn.LayerNorm(H)

    def forward(self, x):
        y, (h, _) = self.recurrent(self.widen(x))
        weight = tg.softmax(tg.sum(y * h[-1], -1), 0)[..., None]
        left, right = tg.split(y, [2], axis=-1)
        return (
            tg.sum(weight * y, 0), self.norm(y).reshape(-1, H), tg.std(y, axis=0), y[::-1, :, 1:3],
            tg.concatenate([right, left, tg.zeros_like(y)], -1), y[-1, :, 0], tg.max(y, axis=(0, 2)),
            tg.gelu(y) + tg.silu(y) - tg.elu(y), tg.cumsum(y, 0), tg.where(y > 0, y, -1.0),
            tg.stack([y, -y], 1), tg.argmax(y, -1), tg.pad(y, ((1, 0), (0, 0), (0, 2))), tg.roll(y, 2, -1),
            tg.clip(y, -0.1, None) ** 2, tg.einsum("tbi,tbj->bij", y, y), tg.tril(y), tg.flip(y, (0, 2)),
            tg.logaddexp(y, x[..., :1]), tg.broadcast_to(y[:, :1], y.shape), y.astype("float64"),
            tg.take(y, [0, 2, 2], -1), tg.isnan(y),
        )  # fmt: skip


def test_a_classifier(rng, tmp_path):
    model, path = Classifier(), str(tmp_path / "model.onnx")
    calls = [(rng.integers(0, 10, (t, b)), floats(rng, 2, b, H)) for t, b in SIZES]
    export(model, path, *calls[0])
    same(model.eval(), path, *calls)
    export(model, path, calls[0][0], outputs=["scores", "mean", "state"])
    assert load(path).outputs == ("scores", "mean", "state")
    same(model, path, calls[1][:1])


def test_much_that_a_model_may_do(rng, tmp_path):
    model, path = Attention(), str(tmp_path / "model.onnx")
    export(model, path, floats(rng, T, B, D))
    same(model, path, *[(floats(rng, t, b, D),) for t, b in SIZES[:2]])


def test_a_function_with_two_inputs(rng, tmp_path):
    path = str(tmp_path / "model.onnx")

    def gated(x, y):
        return tg.tanh(x) * tg.sigmoid(y)

    export(gated, path, floats(rng, 7, 3), floats(rng, 7, 3))
    same(gated, path, (floats(rng, 4, 3), floats(rng, 4, 3)))
    assert load(path).inputs == ("x", "y")
    assert load(path).outputs == ("y_1",)


def of_at_least(least, most):
    """A model that takes no other numbers of steps."""

    def model(x):
        if not least <= x.shape[0] <= most:
            raise ValueError(f"{x.shape[0]} steps")
        return x[: -least + 1] + x[least - 1 :]

    return model


@pytest.mark.parametrize(("least", "most"), [(3, 1000), (5, 60), (10, 40), (2, 35)])
def test_a_model_that_takes_not_all_lengths(least, most, rng, tmp_path):
    model, path = of_at_least(least, most), str(tmp_path / "model.onnx")
    export(model, path, floats(rng, 12, B, D))
    same(
        model,
        path,
        *[(tg.tensor(floats(rng, t, b, D)),) for t, b in [(least, 2), (least + 1, 1), (most, 40)]],
    )


@pytest.mark.parametrize(
    "model",
    [
        lambda x: tg.pad(x, ((2, 3), (0, 0), (0, 0))),
        lambda x: x[:-1] * float(x.shape[0] - 1),
        lambda x: tg.reshape(x, (-1, D)) / (x.shape[0] * x.shape[1]),
        lambda x: tg.mean(x[1:], axis=0),
        lambda x: x + float(2 * x.shape[1] + 3),
    ],
    ids=["filled", "without the last", "a mean", "a mean of all but the first", "samples"],
)
def test_sums_and_products_of_lengths(model, rng, tmp_path):
    path = str(tmp_path / "model.onnx")
    export(model, path, floats(rng, T, B, D))
    same(model, path, *[(tg.tensor(floats(rng, t, b, D)),) for t, b in [(2, 1), (3, 2), (16, 4), (101, 50)]])


def test_axes_that_are_free_are_chosen(rng, tmp_path):
    path = str(tmp_path / "model.onnx")
    export(nn.GRU(D, H), path, floats(rng, T, B, D), axes={"x": {1: "samples"}})
    shape = onnx.load(path).graph.input[0].type.tensor_type.shape
    assert [axis.dim_param or axis.dim_value for axis in shape.dim] == [T, "samples", D]
    export(nn.GRU(D, H), path, floats(rng, T, B, D), axes={})
    with pytest.raises(tg.ShapeError, match="'x'"):
        load(path)(floats(rng, T + 1, B, D))


# -- cells of one's own --------------------------------------------------------------------------------------


class Peephole(nn.Module):
    def __init__(self, inputs):
        draw = np.random.default_rng(5)
        self.W, self.U = (nn.Parameter(floats(draw, n, 4 * H) * 0.5) for n in (inputs, H))
        self.b, self.p = nn.Parameter(floats(draw, 4 * H)), nn.Parameter(floats(draw, H))
        self.state_size, self.input_size = (H, H), inputs

    def __call__(self, x, state):
        h, c = state
        i, f, g, o = tg.split(x @ self.W + h @ self.U + self.b, 4, axis=-1)
        i, f = tg.sigmoid(i + self.p * c), tg.sigmoid(f + self.p * c)
        c = f * c + i * tg.tanh(g)
        h = tg.sigmoid(o + self.p * c) * tg.tanh(c)
        return h, (h, c)


def normed(x, h):
    """A function, with a mean over the units and a number that depends on the batch."""
    a = x[..., :2] + h
    h = tg.tanh((a - tg.mean(a, -1, keepdims=True)) / (tg.std(a, axis=-1, keepdims=True) + 0.1))
    return (h, tg.mean(h, 0, keepdims=True) * h), h


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reverse": True, "batch_first": True},
        {"num_layers": 2, "bidirectional": True, "input_size": D},
        {"zoneout": (0.1, 0.2), "outputs": "last"},
    ],
    ids=["plain", "reverse", "deep", "zoneout"],
)
def test_a_cell_becomes_a_scan(options, rng, tmp_path):
    cell = Peephole if "input_size" in options else Peephole(D)
    layer, path = nn.Recurrent(cell, **options), str(tmp_path / "cell.onnx")
    export(layer, path)
    layer.eval()
    first = options.get("batch_first", False)
    kinds = same(layer, path, *[(floats(rng, *((b, t) if first else (t, b)), D),) for t, b in SIZES])
    assert kinds.count("Scan") == (4 if "input_size" in options else 1)


def test_a_cell_with_lengths(rng, tmp_path):
    layer, path = nn.Recurrent(Peephole(D), reverse=True), str(tmp_path / "cell.onnx")

    def call(t, b):
        return floats(rng, t, b, D), (floats(rng, b, H), floats(rng, b, H)), rng.integers(0, t + 1, b)

    export(layer, path, *call(T, B))
    same(layer, path, call(T, B), call(9, 4))


def test_a_scan_of_a_function(rng, tmp_path):
    path = str(tmp_path / "scan.onnx")

    def model(x):
        (h, mixed), last = tg.scan(normed, x, tg.zeros((x.shape[1], 2)))
        return h, mixed, last

    export(model, path, floats(rng, T, B, D))
    same(model, path, *[(floats(rng, t, b, D),) for t, b in SIZES[:2]])


def test_a_loaded_scan_trains(rng, tmp_path):
    """What is loaded has the gradients of the module that was written."""
    layer, path = nn.Recurrent(Peephole(D)).astype("float64"), str(tmp_path / "cell.onnx")
    export(layer, path)
    loaded, x = load(path), rng.normal(size=(T, B, D))
    for model in (layer, loaded):
        tg.sum(tg.sin(model(x)[0])).backward()
    ours, theirs = dict(layer.named_parameters()), dict(loaded.named_parameters())
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert abs(ours[name].grad.numpy() - theirs[name].grad.numpy()).max() < 1e-12


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.PeepholeLSTMCell, nn.GRUCell, nn.MGUCell])
def test_a_single_step(kind, rng, tmp_path):
    cell, path = kind(D, H), str(tmp_path / "cell.onnx")
    export(cell, path)
    pair = isinstance(cell.state_size, tuple)
    states = [(floats(rng, b, H), floats(rng, b, H)) if pair else floats(rng, b, H) for b in (3, 1)]
    same(cell, path, *[(floats(rng, b, D), state) for b, state in zip((3, 1), states, strict=True)])
    assert load(path).inputs == (("x", "h", "c") if pair else ("x", "h"))


# -- weights that each call computes -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.PeepholeLSTM, nn.GRU])
def test_a_loaded_model_inside_of_another(kind, rng, tmp_path):
    first, second = str(tmp_path / "first.onnx"), str(tmp_path / "second.onnx")
    export(kind(D, H, bidirectional=True, batch_first=True), first)
    model = nn.Sequential(load(first), lambda ys: ys[0], nn.Linear(2 * H, 2))
    export(model, second, floats(rng, B, T, D))
    same(model, second, *[(floats(rng, b, t, D),) for t, b in SIZES])
    assert {"0.l0.W", "0.l0_reverse.R", "2.weight"} <= {n for n, _ in load(second).named_parameters()}


class Hyper(nn.Module):
    """One network makes the weights of another one."""

    def __init__(self):
        self.cell = nn.PeepholeLSTMCell(D, H, peepholes="io", biases=1)
        self.maker = nn.Linear(2, 4 * H * D)
        self.code = nn.Parameter(np.array([0.3, -0.2], np.float32))

    def forward(self, x):
        self.cell.weight_ih = tg.reshape(self.maker(self.code), (4 * H, D))
        return nn.Recurrent(self.cell)(x)[0]


def test_weights_that_another_network_makes(rng, tmp_path):
    model, path = Hyper(), str(tmp_path / "model.onnx")
    export(model, path, floats(rng, T, B, D))
    kinds = same(model, path, *[(floats(rng, t, b, D),) for t, b in SIZES])
    assert "LSTM" in kinds
