"""The options of cells in pairs, in a layer, beside straight NumPy; and what they refuse."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.covering import covering
from tests.nn import straight
from tests.nn.test_recurrent_options import CELLS, D, H, Straight, check, made
from tinygrad_rnn import nn

MADE = [
    ("affine", 0.4, 0.3),
    ("hard_sigmoid", 0.2, 0.4),
    ("leaky_relu", 0.3),
    ("thresholded_relu", 0.2),
    ("scaled_tanh", 1.7159, 2 / 3),
    ("elu", 0.7),
]
FACTORS = {
    "kind": list(CELLS),
    "activation": [*straight.ACTIVATIONS, *MADE],
    "recurrent_activation": [
        "sigmoid",
        "hard_sigmoid",
        ("hard_sigmoid", 0.2, 0.5),
        "softsign",
        ("affine", 0.2, 0.5),
        {"i": "hard_sigmoid", "z": "hard_sigmoid"},
        {"f": ("hard_sigmoid", 0.2, 0.5), "o": "tanh", "r": "tanh"},
    ],
    "output_activation": [None, "relu", ("scaled_tanh", 1.2, 0.8)],
    "gate_clip": [None, 0.4],
    "cell_clip": [None, 0.3],
    "coupled": [False, True],
    "peepholes": ["ifo", "i", "of", ""],
    "biases": [0, 1, 2],
    "proj_size": [0, 2],
    "proj_clip": [None, 0.1],
    "forget_bias": [None, 1.5],
    "direction": ["forwards", "both"],
}
CASE = {
    "given": "layer",
    "num_layers": 1,
    "merge": "concat",
    "batch_first": False,
    "cut": "lengths",
    "masked_output": "zero",
    "outputs": "all",
    "dropout": None,
    "recurrent_dropout": 0.0,
    "zoneout": 0.0,
    "training": True,
    "state": "given",
    "how": "auto",
}


def _frozen(value):
    return tuple(value.items()) if isinstance(value, dict) else value


def _cases():
    chance = random.Random(1)
    drawn = [{name: chance.choice(values) for name, values in FACTORS.items()} for _ in range(1500)]
    return [drawn[i] for i in covering([{n: _frozen(v) for n, v in case.items()} for case in drawn], 2)]


CASES = _cases()


def test_all_pairs_of_options_are_there():
    met = {(a, repr(case[a]), b, repr(case[b])) for case in CASES for a in FACTORS for b in FACTORS if a < b}
    assert len(met) == sum(len(FACTORS[a]) * len(FACTORS[b]) for a in FACTORS for b in FACTORS if a < b)


def of_nn(how):
    """An activation as the library takes it."""
    if isinstance(how, dict):
        return {letter: of_nn(each) for letter, each in how.items()}
    return getattr(nn.activations, how[0])(*how[1:]) if isinstance(how, tuple) else how


def _options(case):
    """What the cell of a case takes, as the library and as straight NumPy have it."""
    kind, ours, theirs = case["kind"], {}, {}
    gates = {"lstm": "ifo", "ln_lstm": "ifo", "peephole": "ifo", "mgu": "f"}.get(kind, "rz")
    names = ["activation", "gate_clip", *([] if kind.endswith("rnn") else ["recurrent_activation"])]
    if kind in ("lstm", "peephole", "ln_lstm"):
        names += ["output_activation", "cell_clip", "coupled", "proj_size", "proj_clip"]
    for name in names:
        value = case[name]
        if isinstance(value, dict):
            value = {letter: how for letter, how in value.items() if letter in gates}
        theirs[name] = value
        ours[name] = of_nn(value) if "activation" in name else value
    if kind == "peephole":
        ours["peepholes"] = case["peepholes"]
    if not kind.startswith("ln"):
        ours |= {"bias": False} if not case["biases"] else {"biases": case["biases"]}
    has_forget_gate = kind in ("lstm", "peephole", "mgu", "ln_lstm") and not ours.get("coupled")
    if has_forget_gate and ours.get("bias", True):
        ours["forget_bias"] = case["forget_bias"]
    return ours, theirs


def _name(case):
    return re.sub(r"[^\w.-]+", "_", "-".join(map(str, case.values())))


@pytest.mark.parametrize("case", CASES, ids=map(_name, CASES))
def test_options(case, rng):
    ours, theirs = _options(case)
    given = "maker" if case["kind"].startswith("ln") else "layer"
    check(
        lambda options: made(case["kind"], given, ours, options),
        Straight(case["kind"], theirs),
        {**CASE, "direction": case["direction"]},
        rng,
    )


# -- parameters ----------------------------------------------------------------------------------------------


def test_what_options_leave_out_is_no_parameter():
    def names(cell):
        return [name for name, _ in cell.named_parameters()]

    weights = ["weight_ih", "weight_hh"]
    assert names(nn.GRUCell(D, H, biases=1)) == [*weights, "bias_ih"]
    assert names(nn.GRUCell(D, H, bias=False, biases=1)) == weights
    assert names(nn.PeepholeLSTMCell(D, H, bias=False, peepholes="oi")) == [*weights, "p_i", "p_o"]
    assert names(nn.LSTMCell(D, H, coupled=True)) == [*weights, "bias_ih", "bias_hh"]
    assert [p.shape for p in nn.MGUCell(D, H).parameters()] == [(2 * H, D), (2 * H, H), (2 * H,), (2 * H,)]


def test_names_in_layers():
    layer = nn.MGU(D, H, 2, bidirectional=True, biases=1)
    assert list(layer.state_dict()) == [
        f"{name}_l{k}{way}"
        for k in (0, 1)
        for way in ("", "_reverse")
        for name in ("weight_ih", "weight_hh", "bias_ih")
    ]
    norms = ["norm_ih", "norm_hh", "norm_in", "norm_hn"]
    layer = nn.Recurrent(lambda n: nn.LayerNormGRUCell(n, H), input_size=D, bidirectional=True)
    assert list(layer.state_dict()) == [
        f"{cell}.{name}"
        for cell in ("cell_l0", "cell_l0_reverse")
        for name in ("weight_ih", "weight_hh", *(f"{n}.{part}" for n in norms for part in ("weight", "bias")))
    ]


@pytest.mark.parametrize("biases", [1, 2])
def test_the_forget_gates_bias(biases):
    """The sum of both is the value; the other gates' are as ever."""
    tg.random.seed(3)
    plain = nn.LSTMCell(D, H, biases=biases)
    tg.random.seed(3)
    opened = nn.LSTMCell(D, H, biases=biases, forget_bias=1.5)
    for name in ("bias_ih", "bias_hh")[:biases]:
        before, after = (getattr(cell, name).numpy().reshape(4, H) for cell in (plain, opened))
        assert (after[1] == (1.5 if name == "bias_ih" else 0.0)).all()
        assert (after[[0, 2, 3]] == before[[0, 2, 3]]).all()
    layer = nn.PeepholeLSTM(D, H, 2, bidirectional=True, forget_bias=2.0)
    for end in ("l0", "l0_reverse", "l1", "l1_reverse"):
        assert (getattr(layer, f"bias_ih_{end}").numpy()[H : 2 * H] == 2.0).all()
    assert (nn.MGUCell(D, H, forget_bias=1.0).bias_ih.numpy()[:H] == 1.0).all()
    assert (nn.LayerNormLSTMCell(D, H, forget_bias=1.0).norm_ih.bias.numpy()[H : 2 * H] == 1.0).all()


def test_a_function_with_a_parameter_of_its_own_learns(rng):
    slope = nn.Parameter(0.25, "float64")
    layer = nn.RNN(D, H, activation=lambda a: tg.where(a > 0, a, slope * a), dtype="float64")
    assert any(p is slope for p in layer.parameters())
    x = tg.tensor(rng.normal(size=(5, 2, D)))
    tg.sum(layer(x)[0]).backward()
    assert slope.grad is not None

    def loss(t):
        slope.data = np.array(0.25 + t)
        return tg.sum(layer(x)[0]).item()

    assert slope.grad.item() == pytest.approx((loss(1e-6) - loss(-1e-6)) / 2e-6, rel=1e-6)


def test_a_function_of_the_library_is_known_by_its_name():
    assert nn.GRUCell(D, H, activation=tg.relu).activation == "relu"
    assert nn.RNNCell(D, H, nonlinearity="relu").activation == "relu"
    made = nn.activations.hard_sigmoid(0.2)
    assert (made.name, made.alpha, made.beta) == ("hard_sigmoid", 0.2, 0.5)
    assert nn.LSTMCell(D, H, recurrent_activation=made).recurrent_activation is made


NAMES = {**straight.ACTIVATIONS, **straight.MORE_ACTIVATIONS}


@pytest.mark.parametrize("name", NAMES)
def test_activations_by_name(name, rng):
    x = rng.normal(size=50) * 3
    found = nn.activations.get(name)(tg.tensor(x)).numpy()
    theirs = NAMES[name](x)
    assert (abs(found - theirs) < 1e-13 * np.maximum(1, abs(theirs))).all()
    tg.check_gradients(nn.activations.get(name), tg.tensor(x))


def test_an_unknown_name_is_answered_with_all_names():
    with pytest.raises(tg.ArgumentError) as caught:
        nn.LSTM(D, H, activation="leaky")
    for name in NAMES:
        assert repr(name) in str(caught.value)
        assert name in (nn.activations.get.__doc__ or "")


def test_several_names_of_one_function_are_one():
    for other, name in {"swish": "silu", "hard_swish": "hard_silu", "celu": "elu"}.items():
        assert nn.GRUCell(D, H, activation=other).activation == name


@pytest.mark.parametrize("how", MADE, ids=str)
def test_activations_with_numbers(how, rng):
    x = rng.normal(size=50) * 3
    assert abs(of_nn(how)(tg.tensor(x)).numpy() - straight.activation(how)(x)).max() < 1e-14
    tg.check_gradients(of_nn(how), tg.tensor(x))


# -- gate orders ---------------------------------------------------------------------------------------------


def test_gate_orders():
    """Each gate's rows are found where the other library has them."""
    orders, rows = nn.gate_orders, np.arange(8).reshape(8, 1) // 2
    by_letter = dict(zip("ifgo", range(4), strict=True))
    for library, order in orders.LSTM.items():
        moved = orders.reorder(rows, orders.LSTM["torch"], order)
        assert [by_letter[letter] for letter in order for _ in range(2)] == moved[:, 0].tolist(), library
        assert (orders.reorder(moved, order, orders.LSTM["torch"]) == rows).all()
    assert orders.reorder(np.arange(6).reshape(1, 6), "rzn", "zrn", axis=1).tolist() == [[2, 3, 0, 1, 4, 5]]
    assert orders.LSTM["onnx"] == "iofg"
    assert orders.GRU["keras"] == orders.GRU["onnx"] == "zrn"


def test_what_is_refused():
    for call, error, said in [
        (
            lambda: nn.LSTM(D, H, activation="tan"),
            tg.ArgumentError,
            "LSTMCell: activation must be one of 'tanh'",
        ),
        (lambda: nn.LSTM(D, H, activation=nn.GRU), tg.ArgumentError, "or a function of a tensor"),
        (lambda: nn.GRU(D, H, recurrent_activation={"i": "tanh"}), tg.ArgumentError, "of the gates r, z"),
        (
            lambda: nn.GRU(D, H, recurrent_activation={"r": "tan"}),
            tg.ArgumentError,
            r"\['r'\] must be one of",
        ),
        (lambda: nn.LSTM(D, H, gate_clip=-1.0), tg.ArgumentError, "gate_clip must be at least 0"),
        (lambda: nn.GRU(D, H, biases=3), tg.ArgumentError, "biases must be 1 or 2"),
        (lambda: nn.LSTM(D, H, bias=False, forget_bias=1.0), tg.ArgumentError, "bias=False leaves it out"),
        (lambda: nn.PeepholeLSTM(D, H, peepholes="ig"), tg.ArgumentError, "some of the letters i, f and o"),
        (lambda: nn.PeepholeLSTM(D, H, peepholes="ii"), tg.ArgumentError, "some of the letters i, f and o"),
        (lambda: nn.LSTM(D, H, coupled="yes"), tg.ArgumentError, "coupled must be True or False"),
        (lambda: nn.LSTM(D, H, peepholes="i"), tg.ArgumentError, "LSTM: there is no argument 'peepholes'"),
        (lambda: nn.GRU(D, H, coupled=True), tg.ArgumentError, "GRU: there is no argument 'coupled'"),
        (lambda: nn.RNN(D, H, nonlinearity="relu", activation="tanh"), tg.ArgumentError, "give one of them"),
        (lambda: nn.gate_orders.reorder(np.ones(8), "ifgo", "ifg"), tg.ArgumentError, "each once"),
        (lambda: nn.gate_orders.reorder(np.ones(9), "ifgo", "iofg"), tg.ShapeError, "4 gates along axis 0"),
    ]:
        before = tg.random.get_state()
        with pytest.raises(error, match=said):
            call()
        assert tg.random.get_state() == before
