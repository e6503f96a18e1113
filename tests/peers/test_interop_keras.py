"""Keras' weights and gradients in and out: live layers with the backend PyTorch, in float64."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.peers.test_grid_keras import keras as in_doubles  # noqa: F401  # a fixture
from tinygrad_rnn import interop, nn

pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]
os.environ["KERAS_BACKEND"] = "torch"  # before its first import
torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")
torch.set_num_threads(1)

T, B, D, H = 5, 3, 4, 6
KINDS = {
    "SimpleRNN": ("SimpleRNN", {}, nn.RNN, {}),
    "LSTM": ("LSTM", {}, nn.LSTM, {}),
    "GRU after": ("GRU", {}, nn.GRU, {}),
    "GRU before": ("GRU", {"reset_after": False}, nn.GRU, {"reset": "before"}),
}
ACTIVATIONS = [
    {},
    {"activation": "relu"},
    {"activation": "softsign", "recurrent_activation": "softsign"},
    {"activation": "elu", "recurrent_activation": "sigmoid"},
    {"activation": "silu", "recurrent_activation": "tanh"},
    {"activation": "linear", "recurrent_activation": "sigmoid"},
    {"activation": "selu", "recurrent_activation": "softsign"},
    {"activation": "gelu", "recurrent_activation": "sigmoid"},
    {"activation": "softplus", "recurrent_activation": "relu"},
]
WAYS = ["one direction", "both", "two layers", "two layers, both", "a cell", "masked"]
SOME = list(itertools.product(KINDS, [True, False], WAYS, [{}])) + list(
    itertools.product(KINDS, [True], ["one direction", "both"], ACTIVATIONS[1:])
)


@pytest.fixture(autouse=True)
def _doubles(in_doubles):  # noqa: F811
    """Layers that say no dtype have this one, too."""


def theirs_and_ours(kind, bias, way, activations):
    """A model of Keras' and the layer here, with the same options."""
    name, options, ours, own = KINDS[kind]
    activations = {k: v for k, v in activations.items() if name != "SimpleRNN" or k == "activation"}
    both, depth = way.endswith("both"), 2 if way.startswith("two") else 1

    def layer():
        made = getattr(keras.layers, name)(H, use_bias=bias, return_sequences=True, **options, **activations)
        return keras.layers.Bidirectional(made) if both else made

    model = keras.Sequential([keras.Input((None, D)), *(layer() for _ in range(depth))])
    if way == "a cell":
        cell = getattr(nn, f"{ours.__name__}Cell")(D, H, bias=bias, dtype="float64", **own, **activations)
        return model, nn.Recurrent(cell, batch_first=True)
    sizes = {
        "num_layers": depth,
        "bidirectional": both,
        "bias": bias,
        "batch_first": True,
        "dtype": "float64",
    }
    return model, ours(D, H, masked_output="previous", **sizes, **own, **activations)


@pytest.mark.parametrize(("kind", "bias", "way", "activations"), SOME)
def test_weights_and_gradients_go_in_and_out(rng, kind, bias, way, activations):
    theirs, ours = theirs_and_ours(kind, bias, way, activations)
    values = [rng.normal(size=array.shape) / 4 for array in theirs.get_weights()]
    theirs.set_weights(values)
    interop.keras.load_weights(ours, theirs.get_weights())
    for back, value in zip(interop.keras.weights(ours), values, strict=True):
        np.testing.assert_allclose(back, value, rtol=0, atol=1e-15)
    x = rng.normal(size=(B, T, D))
    mask = np.arange(T) < np.array([[T], [2], [4]]) if way == "masked" else None
    their_x, our_x = torch.tensor(x, requires_grad=True), tg.tensor(x, requires_grad=True)
    given = {} if mask is None else {"mask": mask}
    their_y = theirs.layers[0](their_x, mask=torch.tensor(mask)) if given else theirs(their_x)
    y, _ = ours(our_x, **given)
    weight = rng.normal(size=y.shape)
    (their_y * torch.tensor(weight)).sum().backward()
    tg.sum(y * tg.tensor(weight)).backward()
    np.testing.assert_allclose(y.numpy(), their_y.detach().numpy(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(our_x.grad.numpy(), their_x.grad.numpy(), rtol=1e-9, atol=1e-9)
    gradients = interop.keras.weights(ours, of="grad")
    for mine, variable in zip(gradients, theirs.trainable_variables, strict=True):
        np.testing.assert_allclose(mine, variable.value.grad.numpy(), rtol=1e-9, atol=1e-9)


def test_there_are_enough_of_them():
    assert len(SOME) >= 80


# -- files ---------------------------------------------------------------------------------------------------


def layers_here():
    return {
        "words": nn.Embedding(7, D, dtype="float64"),
        "norm": nn.LayerNorm(D, dtype="float64"),
        "deep": nn.LSTM(D, H, 2, bidirectional=True, merge="sum", dtype="float64", batch_first=True),
        "simple": nn.RNN(H, H, activation="relu", dtype="float64", batch_first=True),
        "gru": nn.GRU(
            H, H, reset="before", recurrent_activation="softsign", dtype="float64", batch_first=True
        ),
        "last": nn.GRU(H, H, bias=False, outputs="last", dtype="float64", batch_first=True),
        "head": nn.Linear(H, 2, dtype="float64"),
    }


def computed(layers, x):
    for layer in layers.values():
        x = layer(x)
        x = x[0] if isinstance(x, tuple) else x
    return x


def test_keras_reads_our_files(rng, tmp_path):
    layers = layers_here()
    for layer in layers.values():
        for parameter in layer.parameters():
            parameter.data = rng.normal(size=parameter.shape) / 2
    tokens = rng.integers(0, 7, (B, T))
    expected = computed(layers, tokens).numpy()
    for name in ("model.keras", "model.weights.h5", "model.h5"):
        interop.keras.save(tmp_path / name, layers)
    theirs = keras.models.load_model(tmp_path / "model.keras")
    names = ["words", "norm", "deep_l0", "deep_l1", "simple", "gru", "last", "head"]
    assert [layer.name for layer in theirs.layers] == names
    np.testing.assert_allclose(theirs(tokens).detach().numpy(), expected, rtol=1e-9, atol=1e-9)
    for name in ("model.weights.h5", "model.h5"):
        again = keras.models.load_model(tmp_path / "model.keras")
        again(tokens)  # so that it is built
        again.set_weights([0 * array for array in again.get_weights()])
        again.load_weights(tmp_path / name)
        np.testing.assert_allclose(again(tokens).detach().numpy(), expected, rtol=1e-9, atol=1e-9)


def test_cells_of_several_kinds_one_above_the_other(tmp_path):
    made = [keras.layers.LSTMCell(2), keras.layers.GRUCell(3), keras.layers.LSTMCell(4)]
    model = keras.Sequential([keras.Input((None, D)), keras.layers.RNN(made, name="cells")])
    model.save(tmp_path / "model.keras")
    (arrays,) = interop.keras.load(tmp_path / "model.keras").values()
    for mine, array in zip(arrays, model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, array)
    model.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(tg.CheckpointError, match=r"does not say in which order: read the \.keras"):
        interop.keras.load(tmp_path / "model.weights.h5")


def test_we_read_keras_files(rng, tmp_path):
    inputs = keras.Input((None, D))
    one = keras.layers.LSTM(H, name="zz", return_sequences=True)(inputs)
    two = keras.layers.LSTM(H, name="aa", return_sequences=True)(one)
    inner = keras.Model(inputs, two, name="inner")
    outer = keras.Input((None, D))
    cells = keras.layers.RNN([keras.layers.GRUCell(H), keras.layers.GRUCell(H)], name="cells")
    model = keras.Model(outer, keras.layers.Dense(2, name="head")(cells(inner(outer))))
    model.set_weights([rng.normal(size=array.shape) for array in model.get_weights()])
    for name in ("model.keras", "model.weights.h5"):
        getattr(model, "save" if name == "model.keras" else "save_weights")(tmp_path / name)
        found = interop.keras.load(tmp_path / name)
        expected = {f"inner/{key}": inner.get_layer(key).get_weights() for key in ("zz", "aa")}
        expected |= {"cells": cells.get_weights(), "head": model.get_layer("head").get_weights()}
        assert found.keys() == expected.keys()
        for key, arrays in expected.items():
            for mine, array in zip(found[key], arrays, strict=True):
                np.testing.assert_array_equal(mine, array)
