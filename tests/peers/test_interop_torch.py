"""PyTorch's models built here, and files of both libraries read by the other one."""

from __future__ import annotations

import itertools
from collections import OrderedDict

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.peers.test_layers_torch import same, variables
from tinygrad_rnn import interop, nn, tree

pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore:.torch.nn.utils.weight_norm. is deprecated"),
]
torch = pytest.importorskip("torch")
torch.set_num_threads(1)
layers = torch.nn
T, B, D, H = 5, 3, 4, 6

RECURRENT = [
    (kind, {"num_layers": depth, "bias": bias, "bidirectional": both, "batch_first": first, **extra})
    for kind, extra in (
        ("RNN", {}),
        ("RNN", {"nonlinearity": "relu"}),
        ("LSTM", {}),
        ("LSTM", {"proj_size": 2}),
        ("GRU", {}),
    )
    for depth, bias, both, first in itertools.product([1, 2], [True, False], [True, False], [True, False])
]


def compared(rng, ours, theirs, x, state=None):
    """Outputs, and the residuals of everything after the same weighted sum of all outputs."""
    floats = x.dtype.kind == "f"
    values = (x,) if state is None else (x, state)
    given, their_given = variables(values) if floats else ((tg.tensor(x),), (torch.tensor(x),))
    out, their_out = ours(*given), theirs(*their_given)
    if isinstance(theirs, (layers.RNNCell, layers.GRUCell, layers.LSTMCell)):
        out = out[1]
    same(out, their_out)
    results, their_results = list(tree.leaves(out)), list(tree.leaves(their_out))
    weights = [rng.normal(size=r.shape) for r in results]
    sum(tg.sum(r * tg.tensor(w)) for r, w in zip(results, weights, strict=True)).backward()
    sum((r * torch.tensor(w)).sum() for r, w in zip(their_results, weights, strict=True)).backward()
    if floats:
        same([v.grad for v in tree.leaves(given)], [v.grad for v in tree.leaves(their_given)])
    mine = dict(ours.named_parameters())
    for name, parameter in theirs.named_parameters():
        if parameter.requires_grad:
            same(mine[name].grad, parameter.grad)
    assert list(ours.state_dict()) == list(theirs.state_dict())


@pytest.mark.parametrize(("kind", "options"), RECURRENT)
def test_recurrent_layers(rng, kind, options):
    theirs = getattr(layers, kind)(D, H, dtype=torch.float64, **options)
    ours = interop.torch.from_module(theirs)
    assert type(ours) is getattr(nn, kind)
    size = ours.layers[0][0].cell.state_size
    rows = options["num_layers"] * (1 + options["bidirectional"])
    state = tree.map_leaves(lambda n: rng.normal(size=(rows, B, n)), size)
    compared(rng, ours, theirs, rng.normal(size=(B, T, D)).swapaxes(0, 1 - options["batch_first"]), state)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kind", "extra"),
    [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}), ("GRUCell", {})],
)
def test_cells(rng, kind, extra, bias):
    theirs = getattr(layers, kind)(D, H, bias=bias, dtype=torch.float64, **extra)
    ours = interop.torch.from_module(theirs)
    state = tree.map_leaves(lambda n: rng.normal(size=(B, n)), ours.state_size)
    compared(rng, ours, theirs, rng.normal(size=(B, D)), state)


@pytest.mark.parametrize(
    "activation",
    [
        layers.Identity(),
        layers.Tanh(),
        layers.Sigmoid(),
        layers.ReLU(),
        layers.ReLU6(),
        layers.LeakyReLU(0.3),
        layers.ELU(0.7),
        layers.GELU(),
        layers.SiLU(),
        layers.Softplus(),
        layers.Softplus(2, 3),
        layers.Softsign(),
        layers.Hardtanh(-0.3, 2),
        layers.LogSigmoid(),
        layers.Softmax(0),
        layers.LogSoftmax(-1),
    ],
    ids=str,
)
def test_activations(rng, activation):
    compared(rng, interop.torch.from_module(activation), activation, rng.normal(size=(4, 5)) * 9)


def test_hard_sigmoid(rng):
    """PyTorch's slope is a sixth in single precision, so only the outputs are compared."""
    x = rng.normal(size=(4, 5)) * 4
    same(interop.torch.from_module(layers.Hardsigmoid())(tg.tensor(x)), layers.Hardsigmoid()(torch.tensor(x)))


@pytest.mark.parametrize(
    "layer",
    [
        layers.Linear(D, H),
        layers.Linear(D, H, bias=False),
        layers.LayerNorm(D, eps=0.1),
        layers.LayerNorm((B, D)),
        layers.LayerNorm(D, bias=False),
        layers.LayerNorm(D, elementwise_affine=False),
    ],
    ids=str,
)
def test_layers_without_memory(rng, layer):
    layer = layer.double()
    for parameter in layer.parameters():
        parameter.data = torch.tensor(rng.normal(size=parameter.shape))
    compared(rng, interop.torch.from_module(layer), layer, rng.normal(size=(T, B, D)))


@pytest.mark.parametrize("padding", [None, 2, -1])
def test_embedding(rng, padding):
    layer = layers.Embedding(7, D, padding_idx=padding, dtype=torch.float64)
    layer.weight.data[2] = 1.5  # also a padding may hold values
    compared(rng, interop.torch.from_module(layer), layer, rng.integers(0, 7, (T, B)))


def model():
    return layers.Sequential(
        OrderedDict(
            embedding=layers.Embedding(9, D, padding_idx=0),
            inner=layers.Sequential(layers.Linear(D, D), layers.Tanh(), layers.Dropout(0.4)),
            norm=layers.LayerNorm(D),
            lstm=layers.LSTM(D, H, 2, batch_first=True, bidirectional=True, dropout=0.3),
        )
    ).double()


def test_a_whole_model(rng):
    theirs = model().eval()
    theirs.embedding.weight.requires_grad_(False)
    ours = interop.torch.from_module(theirs)
    tokens = rng.integers(0, 9, (B, T))
    compared(rng, ours, theirs, tokens)
    assert [p.requires_grad for p in ours.parameters()] == [p.requires_grad for p in theirs.parameters()]


@pytest.mark.filterwarnings("ignore:dropout option adds dropout after all but last")
def test_dropout_behind_a_single_layer_has_no_effect(rng):
    theirs = layers.LSTM(D, H, dropout=0.9).double()
    compared(rng, interop.torch.from_module(theirs), theirs, rng.normal(size=(T, B, D)))


def test_training_or_not_comes_along():
    theirs = model()
    theirs.inner[2].eval()
    ours = interop.torch.from_module(theirs)
    assert ours.training
    assert not dict(ours.named_modules())["inner.2"].training
    assert dict(ours.named_modules())["lstm"].training
    assert not any(m.training for m in interop.torch.from_module(model().eval()).modules())


def test_what_is_shared_stays_shared_and_nothing_with_pytorch(rng):
    theirs = layers.Sequential(layers.Embedding(5, D), layers.Linear(D, 5, bias=False)).double()
    theirs[1].weight = theirs[0].weight
    again = layers.Linear(D, D).double()
    both = layers.Sequential(again, layers.Tanh(), again)
    ours, twice = interop.torch.from_module(theirs), interop.torch.from_module(both)
    assert len(ours.parameters()) == 1
    assert len(twice.parameters()) == 2
    compared(rng, ours, theirs, rng.integers(0, 5, (3, 2)))
    compared(rng, twice, both, rng.normal(size=(2, D)))
    before = ours.parameters()[0].numpy().copy()
    theirs[0].weight.data += 1
    np.testing.assert_array_equal(ours.parameters()[0].numpy(), before)


class Own(layers.Module):
    def forward(self, x):
        return x


def hooked():
    layer = layers.Linear(2, 2)
    layer.register_forward_hook(lambda *_: None)
    return layer


def patched():
    layer = layers.LSTM(2, 2)
    layer.forward = lambda x: x
    return layer


class Subclass(layers.Linear):
    def forward(self, x):
        return -super().forward(x)


REFUSED = {
    "Conv1d": lambda: layers.Conv1d(2, 2, 1),
    "Own, a class of its own": Own,
    "Subclass, a class of its own": lambda: Subclass(2, 2),
    "Linear of bfloat16": lambda: layers.Linear(2, 2).to(torch.bfloat16),
    "Linear of float32 and float64": lambda: _mixed(),
    "Linear on the device meta": lambda: layers.Linear(2, 2, device="meta"),
    "LazyLinear": lambda: layers.LazyLinear(2),
    "ParametrizedLinear": lambda: layers.utils.parametrizations.weight_norm(layers.Linear(2, 2)),
    "Linear with forward_pre_hooks": lambda: layers.utils.weight_norm(layers.Linear(2, 2)),
    "Linear with forward_hooks": hooked,
    "LSTM with a forward of its own": patched,
    "Embedding with max_norm=1.0": lambda: layers.Embedding(2, 2, max_norm=1.0),
    "Embedding with scale_grad_by_freq=True": lambda: layers.Embedding(2, 2, scale_grad_by_freq=True),
    "GELU with approximate='tanh'": lambda: layers.GELU("tanh"),
    "ModuleList": lambda: layers.ModuleList([layers.Linear(2, 2)]),
    "MultiheadAttention": lambda: layers.MultiheadAttention(2, 1),
    "AlphaDropout": layers.AlphaDropout,
}


def _mixed():
    layer = layers.Linear(2, 2)
    layer.bias.data = layer.bias.data.double()
    return layer


@pytest.mark.parametrize("said", REFUSED)
def test_anything_else_is_refused_by_name_with_its_path(said):
    with pytest.raises(tg.ModuleError, match=r"the module \(") as alone:
        interop.torch.from_module(REFUSED[said]())
    inside = layers.Sequential(OrderedDict(head=layers.Sequential(layers.Tanh(), REFUSED[said]())))
    with pytest.raises(tg.ModuleError, match=r"head\.1 \(") as deep:
        interop.torch.from_module(inside)
    assert said in str(alone.value)
    assert said in str(deep.value)


def test_all_of_it_is_named_at_once():
    model = layers.Sequential(layers.Conv1d(2, 2, 1), layers.Linear(2, 2), Own())
    with pytest.raises(tg.ModuleError, match=r"0 \(Conv1d\); 2 \(Own, a class of its own\)"):
        interop.torch.from_module(model)


# -- files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False])
def test_pytorchs_file_is_read(zipped, tmp_path):
    theirs, path = model(), tmp_path / "a.pt"
    torch.save(theirs.state_dict(), path, _use_new_zipfile_serialization=zipped)
    found = interop.torch.load(path)
    ours = interop.torch.from_module(model())
    ours.load_state_dict(found)
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(found[name].numpy(), value.numpy())


def test_our_file_is_read_by_pytorch(tmp_path):
    theirs, path = model(), tmp_path / "a.pt"
    ours = interop.torch.from_module(theirs)
    interop.torch.save(path, {"model": ours, "step": 7, "list": [1.5, None, True]})
    found = torch.load(path, weights_only=True)
    assert (found["step"], found["list"]) == (7, [1.5, None, True])
    other = model()
    other.load_state_dict(found["model"])
    for a, b in zip(theirs.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "int64", "uint8", "uint16", "uint32", "bool"]
)
def test_dtypes_go_both_ways(dtype, tmp_path):
    path, array = tmp_path / "a.pt", np.arange(6).reshape(2, 3).astype(dtype)
    interop.torch.save(path, {"a": array})
    theirs = torch.load(path, weights_only=True)["a"]
    assert str(theirs.dtype) == f"torch.{dtype}"
    np.testing.assert_array_equal(theirs.numpy(), array)
    torch.save({"a": theirs}, path)
    ours = interop.torch.load(path)["a"]
    assert ours.dtype == dtype
    np.testing.assert_array_equal(ours.numpy(), array)


def test_safetensors_go_both_ways(tmp_path):
    files = pytest.importorskip("safetensors.torch")
    theirs, path = model(), tmp_path / "a.safetensors"
    files.save_file(theirs.state_dict(), path)
    ours = interop.torch.from_module(model())
    ours.load_state_dict(tg.load(path))
    tg.save(path, ours)
    other = model()
    other.load_state_dict(files.load_file(path))
    for a, b in zip(theirs.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


class Tagger(layers.Module):
    def __init__(self, kind):
        super().__init__()
        self.words = layers.Embedding(9, D)
        self.deep = getattr(layers, kind)(D, H, 2, bidirectional=True)
        self.head = layers.Linear(2 * H, 3)

    def forward(self, x):
        return self.head(self.deep(self.words(x))[0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_weights_out_of_an_onnx_file_of_pytorchs(kind, tmp_path):
    pytest.importorskip("onnx")
    theirs, path = Tagger(kind), tmp_path / "a.onnx"
    example = torch.zeros((T, 1), dtype=torch.int64)
    torch.onnx.export(theirs, (example,), path, dynamo=False, opset_version=17)
    interop.convert.convert(path, tmp_path / "a.safetensors")
    found, expected = tg.load(tmp_path / "a.safetensors"), theirs.state_dict()
    names = [name for name in expected if name != "head.weight"]  # its exporter transposes this one
    for name in names:
        np.testing.assert_array_equal(found[name].numpy(), expected[name].numpy())
    assert len(found) == len(expected)


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
def test_an_axis_that_pytorch_chooses_is_refused(kind):
    with pytest.raises(tg.ModuleError, match=f"{kind} with dim=None"):
        interop.torch.from_module(layers.Sequential(getattr(layers, kind)()))


@pytest.mark.parametrize(
    ("first", "second", "layers"),
    [
        ("weight_hh_l0", "weight_ih_l0", 1),
        ("bias_hh_l0", "bias_ih_l0", 1),
        ("weight_ih_l1", "weight_ih_l0", 2),
        ("weight_hh_l0_reverse", "weight_hh_l0", 1),
    ],
)
def test_weights_that_one_layer_has_twice(first, second, layers):
    torch.manual_seed(0)
    theirs = torch.nn.LSTM(4, 4, layers, bidirectional="reverse" in first, dtype=torch.float64)
    setattr(theirs, first, getattr(theirs, second))
    ours = tg.interop.torch.from_module(theirs)
    assert getattr(ours, first) is getattr(ours, second)
    x = np.random.default_rng(0).normal(size=(5, 2, 4))
    expected, _ = theirs(torch.from_numpy(x))
    (expected**2).sum().backward()
    y, _ = ours(tg.tensor(x))
    tg.sum(y**2).backward()
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-10)
    for name, parameter in theirs.named_parameters():
        np.testing.assert_allclose(
            getattr(ours, name).grad.numpy(), parameter.grad.numpy(), rtol=1e-9, atol=1e-12
        )


def test_parameters_that_a_layer_should_not_have_are_refused():
    for made, name in ((torch.nn.Linear(2, 3), "0"), (torch.nn.Sequential(torch.nn.Tanh()), "0")):
        made.extra = torch.nn.Parameter(torch.ones(2))
        with pytest.raises(tg.errors.ModuleError, match=rf"{name} \(.*extra"):
            tg.interop.torch.from_module(torch.nn.Sequential(made))
    bare = torch.nn.Linear(2, 3)
    bare.weight = None
    with pytest.raises(tg.errors.ModuleError, match=r"weight"):
        tg.interop.torch.from_module(bare)
