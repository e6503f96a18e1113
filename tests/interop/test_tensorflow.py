"""TensorFlow's LSTMCell: its weights in, and outputs, states and gradients as TensorFlow computed them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.interop.fixtures.tensorflow_cells import PATH
from tinygrad_rnn import interop, nn

VARIABLES = ("kernel", "bias", "w_i_diag", "w_f_diag", "w_o_diag", "proj_kernel")


with np.load(PATH) as _file:
    ARRAYS = dict(_file)
OPTIONS = json.loads(str(ARRAYS["options"]))


def arrays_of(k, folder=""):
    names = [name for name in VARIABLES if f"{k}/{name}" in ARRAYS]
    return {name: ARRAYS[f"{k}/{folder}{name}"] for name in names}


def layer_for(k):
    """The layer here for what TensorFlow's cell was made with."""
    options = OPTIONS[k]
    kernel, bias = ARRAYS[f"{k}/kernel"], ARRAYS[f"{k}/bias"]
    hidden = len(bias) // 4
    make = nn.PeepholeLSTM if options["use_peepholes"] else nn.LSTM
    return make(
        len(kernel) - (options.get("num_proj") or hidden),
        hidden,
        proj_size=options.get("num_proj") or 0,
        cell_clip=options.get("cell_clip"),
        proj_clip=options.get("proj_clip"),
        activation=options.get("activation", "tanh"),
        batch_first=True,
        dtype="float64",
    )


def test_there_are_enough_of_them():
    assert len(OPTIONS) >= 30
    assert any(o.get("proj_clip") and o["cell_clip"] and o["use_peepholes"] for o in OPTIONS)


@pytest.mark.parametrize("k", range(len(OPTIONS)))
def test_values_states_and_gradients(k):
    layer, bias = layer_for(k), OPTIONS[k].get("forget_bias", 1.0)
    interop.tensorflow.load_weights(layer, arrays_of(k), forget_bias=bias)
    x, c, h = (tg.tensor(ARRAYS[f"{k}/{name}"], requires_grad=True) for name in "xch")
    y, (h1, c1) = layer(x, (tg.expand_dims(h, 0), tg.expand_dims(c, 0)))
    loss = tg.zeros((), dtype="float64")
    for i, out in enumerate((y, c1[0], h1[0])):
        np.testing.assert_allclose(out.numpy(), ARRAYS[f"{k}/out/{i}"], rtol=0, atol=1e-9)
        loss = loss + tg.sum(out * tg.tensor(ARRAYS[f"{k}/weight/{i}"]))
    loss.backward()
    for name, leaf in zip("xch", (x, c, h), strict=True):
        np.testing.assert_allclose(leaf.grad.numpy(), ARRAYS[f"{k}/grad/{name}"], rtol=0, atol=1e-9)
    gradients, expected = interop.tensorflow.weights(layer, of="grad"), arrays_of(k, "grad/")
    assert gradients.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(gradients[name], array, rtol=0, atol=1e-9)


@pytest.mark.parametrize("k", range(len(OPTIONS)))
def test_weights_come_back(k):
    layer, bias = layer_for(k), OPTIONS[k].get("forget_bias", 1.0)
    interop.tensorflow.load_weights(layer, arrays_of(k), bias)
    back = interop.tensorflow.weights(layer, forget_bias=bias)
    assert back.keys() == arrays_of(k).keys()
    for name, array in arrays_of(k).items():
        np.testing.assert_allclose(back[name], array, rtol=0, atol=1e-15)


def test_names_with_a_scope_and_cells():
    cell = nn.PeepholeLSTMCell(3, 4, proj_size=2, dtype="float64")
    weights = interop.tensorflow.weights(cell)
    other = nn.Recurrent(nn.PeepholeLSTMCell(3, 4, proj_size=2, dtype="float64"))
    own = {"proj_kernel": "projection/kernel"}
    given = {f"rnn/lstm_cell/{own.get(name, name)}:0": array for name, array in weights.items()}
    interop.tensorflow.load_weights(other, given)
    for name, array in interop.tensorflow.weights(other).items():
        np.testing.assert_array_equal(array, weights[name])


@pytest.mark.parametrize("biases", [1, 2])
def test_one_bias_or_two(biases):
    layer = nn.LSTM(3, 4, biases=biases, dtype="float64")
    weights = {"kernel": np.ones((7, 16)), "bias": np.arange(16.0)}
    interop.tensorflow.load_weights(layer, weights, forget_bias=2.0)
    # TensorFlow's i, j, f, o as i, f, g, o, with 2 at f
    expected = np.r_[0:4, 10:14, 4:8, 12:16]
    total = layer.bias_ih_l0.numpy() + (layer.bias_hh_l0.numpy() if biases == 2 else 0)
    np.testing.assert_array_equal(total, expected)
    np.testing.assert_array_equal(interop.tensorflow.weights(layer, forget_bias=2.0)["bias"], weights["bias"])


def test_all_that_does_not_fit_is_named_and_nothing_loaded():
    layer = nn.PeepholeLSTM(3, 4)
    before = {name: value.numpy().copy() for name, value in layer.state_dict().items()}
    weights = {
        "kernel": np.ones((6, 16)),
        "w_i_diag": np.ones(4),
        "w_f_diag": "no numbers",
        "w_o_diag": np.ones(3),
        "proj_kernel": np.ones((4, 2)),
        "a/bias": np.ones(16),
        "b/bias": np.ones(16),
    }
    with pytest.raises(tg.CheckpointError, match="nothing was loaded") as error:
        interop.tensorflow.load_weights(layer, weights)
    for said in (
        "missing: bias",
        r"kernel: shape (6, 16) does not fit, expected (7, 16)",
        "w_f_diag: ",
        "w_o_diag: shape (3,)",
        "unexpected: proj_kernel",
        "unexpected: a/bias",
        "unexpected: b/bias",
    ):
        assert said in str(error.value)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


REFUSED = {
    "two layers": lambda: nn.LSTM(3, 4, 2),
    "two directions": lambda: nn.LSTM(3, 4, bidirectional=True),
    "a GRU": lambda: nn.GRU(3, 4),
    "a Linear": lambda: nn.Linear(3, 4),
    "no bias": lambda: nn.LSTM(3, 4, bias=False),
    "coupled gates": lambda: nn.LSTM(3, 4, coupled=True),
    "some peepholes": lambda: nn.PeepholeLSTM(3, 4, peepholes="if"),
    "no layer": lambda: 3,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_tensorflow_lacks(name):
    with pytest.raises(tg.ArgumentError, match=r"TensorFlow|layer of this library"):
        interop.tensorflow.weights(REFUSED[name]())
    with pytest.raises(tg.ArgumentError, match=r"TensorFlow|layer of this library"):
        interop.tensorflow.load_weights(REFUSED[name](), {})


def test_no_gradient_yet():
    with pytest.raises(tg.TapeError, match=r"no gradient yet of weight_ih_l0, weight_hh_l0"):
        interop.tensorflow.weights(nn.LSTM(3, 4), of="grad")
    with pytest.raises(tg.ArgumentError, match="of must be 'value' or 'grad'"):
        interop.tensorflow.weights(nn.LSTM(3, 4), of="gradient")
