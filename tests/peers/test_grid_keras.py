"""Random combinations of the options of Keras's SimpleRNN, LSTM and GRU, alone and bidirectional: outputs,
states and every gradient equal Keras's in float64."""

from __future__ import annotations

import importlib
import os
import random

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, tree

os.environ["KERAS_BACKEND"] = "torch"  # before its first import
pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # of Keras and PyTorch
]
torch = pytest.importorskip("torch")

COUNT, TOLERANCE = 150, 1e-9
ORDERS = {"SimpleRNN": ("n", "n"), "LSTM": ("keras", "torch"), "GRU": ("keras", "torch")}


@pytest.fixture
def keras(monkeypatch):
    keras = pytest.importorskip("keras")
    dtypes = importlib.import_module("keras.src.backend.common.dtypes")
    # else it multiplies in 32 bits whatever there is
    monkeypatch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
    before = keras.config.floatx(), keras.config.dtype_policy()  # the latter is made when first asked for
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield keras
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


def _cases():
    chance, seen = random.Random(80), set()
    while len(seen) < COUNT:
        kind = chance.choice(["SimpleRNN", "LSTM", "GRU", "GRU, reset before"])
        case = (
            kind,
            chance.choice(["tanh", "relu", "softsign", "elu", "silu", "softplus", "linear", "gelu", "selu"]),
            "sigmoid"
            if kind == "SimpleRNN"
            else chance.choice(["sigmoid", "hard_sigmoid", "tanh", "softsign"]),
            chance.choice([True, False]),  # bias
            chance.choice(["forwards", "backwards", "sum", "mul", "concat", "ave"]),
            chance.choice([None, "padding", "anywhere", "zeros"]),  # mask; output zeros where it masks
            chance.choice([True, False]),  # all outputs, or the last
            chance.choice([True, False]),  # a state is given
            (chance.randint(1, 7), chance.randint(1, 4), chance.randint(1, 5), chance.randint(1, 5)),
        )
        # the last output of a masked step is the one before it here, and zeros there
        if case not in seen and not (case[5] == "zeros" and not case[6]):
            seen.add(case)
            yield case


def _name(case):
    kind, activation, recurrent, bias, direction, mask, every, state, sizes = case
    flags = {"no bias": not bias, "state": state, "last": not every}
    words = [kind, activation, recurrent, direction, f"mask {mask}", "T{} B{} D{} H{}".format(*sizes)]
    return "-".join([*words, *(name for name, flag in flags.items() if flag)]).replace(" ", "_")


def _theirs(keras, case):
    kind, activation, recurrent, bias, direction, mask, every, _, (_, _, _, hidden) = case
    name = kind.split(",")[0]
    options = {
        "activation": activation,
        "use_bias": bias,
        "return_sequences": every,
        "return_state": True,
        "zero_output_for_mask": mask == "zeros",
        **({} if name == "SimpleRNN" else {"recurrent_activation": _of_keras(keras, recurrent)}),
        **({"reset_after": kind == "GRU"} if name == "GRU" else {}),
    }
    layer = getattr(keras.layers, name)(hidden, go_backwards=direction == "backwards", **options)
    if direction in ("forwards", "backwards"):
        return layer
    return keras.layers.Bidirectional(layer, merge_mode=direction)


def _of_keras(keras, name):
    """PyTorch's own slope of hardsigmoid, which Keras takes there, is ⅙ of single precision."""

    @keras.saving.register_keras_serializable()
    def exact_hard_sigmoid(x):
        return keras.ops.clip(x / 6 + 0.5, 0.0, 1.0)

    return exact_hard_sigmoid if name == "hard_sigmoid" else name


def _ours(case):
    kind, activation, recurrent, bias, direction, mask, every, _, (_, _, features, hidden) = case
    name = kind.split(",")[0]
    both = direction not in ("forwards", "backwards")
    options = {
        "activation": activation,
        "batch_first": True,
        "reverse": direction == "backwards",
        "bidirectional": both,
        "merge": {"ave": "mean"}.get(direction, direction) if both else "concat",
        # Keras's Bidirectional gives zeros in any case, where all outputs are asked for
        "masked_output": "zero" if mask == "zeros" or (both and every) else "previous",
        "outputs": "all" if every else "last",
        "bias": bias,
        "biases": 2 if kind == "GRU" else 1,
        "dtype": "float64",
        **({} if name == "SimpleRNN" else {"recurrent_activation": recurrent}),
        **({"reset": "after" if kind == "GRU" else "before"} if name == "GRU" else {}),
    }
    return getattr(nn, {"SimpleRNN": "RNN"}.get(name, name))(features, hidden, **options)


def _as_ours(kind, arrays, suffix):
    """Keras's weights of one direction under our names: its matrices stand the other way round."""
    orders = {"LSTM": nn.gate_orders.LSTM, "GRU": nn.gate_orders.GRU}.get(kind.split(",")[0])
    if orders is not None:
        arrays = [nn.gate_orders.reorder(a, orders["keras"], orders["torch"], axis=-1) for a in arrays]
    kernel, recurrent, *bias = arrays
    found = {"weight_ih": kernel.T, "weight_hh": recurrent.T}
    if bias:
        rows = bias[0] if bias[0].ndim == 2 else bias
        found |= dict(zip(("bias_ih", "bias_hh"), rows, strict=False))
    return {f"{name}_l0{suffix}": array for name, array in found.items()}


def _all_as_ours(kind, arrays):
    """The same of both directions, if there are both."""
    count = 3 if len(arrays) in (3, 6) else 2
    found = _as_ours(kind, arrays[:count], "")
    return found | (_as_ours(kind, arrays[count:], "_reverse") if arrays[count:] else {})


@pytest.mark.parametrize("case", list(_cases()), ids=_name)
def test_layers(keras, case):
    kind, _, _, _, direction, mask, every, given, (steps, batch, features, hidden) = case
    rng = np.random.default_rng([steps, batch, features, hidden, every, given])
    both = direction not in ("forwards", "backwards")
    theirs, ours = _theirs(keras, case), _ours(case)
    x, counts = rng.normal(size=(batch, steps, features)), rng.integers(1, steps + 1, (batch, 1))
    live = {
        None: np.ones((batch, steps), bool),
        "padding": np.arange(steps) < counts,
        "anywhere": rng.random((batch, steps)) < 0.6,
        "zeros": np.arange(steps) < counts,
    }[mask]
    theirs.build(x.shape)
    theirs.set_weights([0.7 * rng.normal(size=w.shape) for w in theirs.get_weights()])
    ours.load_state_dict(_all_as_ours(kind, theirs.get_weights()))
    states = [rng.normal(size=(batch, hidden)) for _ in range((1 + both) * (1 + (kind == "LSTM")))]

    their_x = torch.tensor(x, requires_grad=True)
    their_states = [torch.tensor(s, requires_grad=True) for s in states]
    their_y, *their_last = theirs(
        their_x,
        initial_state=their_states if given else None,
        mask=None if mask is None else torch.tensor(live),
    )
    our_x = tg.tensor(x, requires_grad=True)
    laid_out = [np.stack(leaf) for leaf in zip(*np.array_split(np.array(states), 1 + both), strict=True)]
    leaves = [tg.tensor(leaf, requires_grad=True) for leaf in laid_out]
    state = tuple(leaves) if len(leaves) > 1 else leaves[0]
    y, last = ours(our_x, state if given else None, mask=None if mask is None else live)
    if direction == "backwards" and every:  # Keras's stand in the order of running
        their_y = torch.flip(their_y, [1])

    def laid(parts):
        return [torch.stack(leaf) for leaf in zip(*_apart(list(parts), 1 + both), strict=True)]

    _same(y, their_y)
    for a, b in zip(tree.leaves(last), laid(their_last), strict=True):
        _same(a, b)
    assert ours.explain().count("machine code") == 1 + both

    results = [y, *tree.leaves(last)]
    weights = [rng.normal(size=r.shape) for r in results]
    sum(tg.sum(r * tg.tensor(w)) for r, w in zip(results, weights, strict=True)).backward()
    their_results = [their_y, *laid(their_last)]
    sum((r * torch.tensor(w)).sum() for r, w in zip(their_results, weights, strict=True)).backward()
    _same(our_x.grad, their_x.grad)
    if given:
        for leaf, theirs_ in zip(leaves, laid([s.grad for s in their_states]), strict=True):
            _same(leaf.grad, theirs_)
    expected = _all_as_ours(kind, [w.value.grad.numpy() for w in theirs.trainable_weights])
    for name, parameter in ours.named_parameters():
        assert abs(parameter.grad.numpy() - expected[name]).max() < TOLERANCE, name


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU", "GRU, reset before"])
def test_recurrent_dropout(keras, kind, rng):
    """With the same choice on both sides: the gates see what is left of h, the update all of it."""
    sizes, p = (5, 3, 2, 6), 0.4
    case = (kind, "tanh", "sigmoid", True, "forwards", None, True, False, sizes)
    theirs, ours = _theirs(keras, case), _ours(case)
    x = rng.normal(size=(3, 5, 2))
    theirs.build(x.shape)
    theirs.set_weights([rng.normal(size=w.shape) for w in theirs.get_weights()])
    ours.load_state_dict(_all_as_ours(kind, theirs.get_weights()))
    for run in ours.layers[0]:
        run.recurrent_dropout = p
    mask = torch.tensor((np.random.default_rng(4).random((3, 6)) >= p) / (1 - p))
    theirs.cell.recurrent_dropout, theirs.cell.implementation = p, 1
    count = {"SimpleRNN": None, "LSTM": 4}.get(kind, 3)
    theirs.cell.get_recurrent_dropout_mask = lambda h: mask if count is None else [mask] * count
    tg.random.seed(4)
    y, _ = ours(tg.tensor(x))
    _same(y, theirs(torch.tensor(x), training=True)[0])
    assert not np.allclose(y.numpy(), ours.eval()(tg.tensor(x))[0].numpy())


def _apart(parts, count):
    each = len(parts) // count
    return [parts[i * each : (i + 1) * each] for i in range(count)]


def _same(a, b):
    a, b = a.numpy(), b.detach().numpy()
    assert a.shape == b.shape
    assert abs(a - b).max(initial=0) < TOLERANCE
