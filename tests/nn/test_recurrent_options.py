"""The options of recurrent layers in pairs, of the library's cells and of a user's, beside straight NumPy."""

from __future__ import annotations

import inspect
import random
import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.covering import covering
from tests.nn import straight
from tinygrad_rnn import nn, tree
from tinygrad_rnn.nn.stacks import (
    GRULayerOptions,
    LSTMLayerOptions,
    MGULayerOptions,
    PeepholeLayerOptions,
    RNNLayerOptions,
)

T, B, D, H = 6, 3, 4, 4

CELLS = {
    "rnn": ("RNN", {}),
    "lstm": ("LSTM", {}),
    "peephole": ("PeepholeLSTM", {}),
    "gru": ("GRU", {}),
    "gru_before": ("GRU", {"reset": "before"}),
    "mgu": ("MGU", {}),
    "ln_rnn": ("LayerNormRNN", {}),
    "ln_lstm": ("LayerNormLSTM", {}),
    "ln_gru": ("LayerNormGRU", {}),
}
FACTORS = {
    "kind": list(CELLS),
    "given": ["layer", "maker", "list", "instance"],
    "num_layers": [1, 2, 3],
    "direction": ["forwards", "reverse", "both"],
    "merge": ["concat", "sum", "mean", "mul"],
    "batch_first": [False, True],
    "cut": [None, "lengths", "mask", "lengths and mask", "single"],
    "masked_output": ["zero", "previous"],
    "outputs": ["all", "last"],
    "dropout": [None, "each step", "variational"],
    "recurrent_dropout": [0.0, 0.3],
    "zoneout": [0.0, 0.3, "apart"],
    "training": [True, False],
    "state": [None, "given", "kept"],
    "how": ["auto", "loop", "segments"],
    "cell": ["plain", "clipped", "other functions"],
}
CELL_OPTIONS = {
    "plain": {},
    "clipped": {"gate_clip": 0.3},
    "other functions": {"activation": "softsign", "recurrent_activation": "hard_sigmoid"},
}


def _possible(case):
    """Whether the options go together."""
    stateful_segments = case["how"] == "segments" and case["masked_output"] == "previous"
    only_recurrent = case["kind"].startswith("ln") and case["given"] == "layer"
    return not stateful_segments and not only_recurrent


def _cases():
    chance = random.Random(0)
    drawn = [{name: chance.choice(values) for name, values in FACTORS.items()} for _ in range(1500)]
    drawn = [case for case in drawn if _possible(case)]
    return [drawn[i] for i in covering(drawn, 2)]


CASES = _cases()


def test_all_pairs_of_options_are_there():
    """But for those that do not go together."""
    met = {
        frozenset([(a, case[a]), (b, case[b])]) for case in CASES for a in FACTORS for b in FACTORS if a < b
    }
    missing = [
        (a, x, b, y)
        for a in FACTORS
        for b in FACTORS
        if a < b
        for x in FACTORS[a]
        for y in FACTORS[b]
        if frozenset([(a, x), (b, y)]) not in met
    ]
    ways = {tuple(sorted([(a, x), (b, y)], key=str)) for a, x, b, y in missing}
    expected = {tuple(sorted([("how", "segments"), ("masked_output", "previous")], key=str))} | {
        tuple(sorted([("kind", kind), ("given", "layer")], key=str)) for kind in CELLS if kind[:2] == "ln"
    }
    assert ways == expected


class UserCell(nn.Module):
    """No cell of the library: the output is a tensor of its own, or h."""

    def __init__(self, input_size, h_is_output=False):
        self.input_size, self.output_size, self.state_size, self.h_is_output = (
            input_size,
            H,
            (H, H),
            h_is_output,
        )
        self.W = nn.Parameter(nn.init.normal((input_size, H), 0.5), "float64")
        self.U = nn.Parameter(nn.init.normal((H, H), 0.5), "float64")
        self.b = nn.Parameter(nn.init.normal((H,), 0.5), "float64")

    def __call__(self, x, state):
        h, c = state
        c = 0.5 * c + tg.tanh(x @ self.W + h @ self.U + self.b)
        h = c * tg.sigmoid(h)
        return (h if self.h_is_output else 2 * h - c), (h, c)


def made(kind, given, cell_options, options):
    """A layer of the library's cells."""
    name, own = CELLS[kind]
    own = {**own, **cell_options, "dtype": "float64"}
    if given == "layer":
        return getattr(nn, name)(D, H, **own, **options)
    make = getattr(nn, f"{name}Cell")
    return _recurrent(lambda size: make(size, H, **own), given, options)


def _recurrent(make, given, options):
    directions = 1 + options["bidirectional"]
    if given in ("layer", "maker"):
        return nn.Recurrent(make, input_size=D, **options)
    if given == "instance" and (D == H and (options["merge"] != "concat" or directions == 1)):
        return nn.Recurrent(make(D), **options)
    wider = H * directions if options["merge"] == "concat" else H
    sizes = [D, *[wider] * (options["num_layers"] - 1)]
    return nn.Recurrent([make(size) for size in sizes for _ in range(directions)], **options)


def _parameters(layer):
    """Of each cell, by the names that it has for them."""
    cells = [run.cell for row in layer.layers for run in row] if hasattr(layer, "layers") else [layer.cell]
    for cell in cells:  # gains and biases too, and what two copies share
        for parameter in cell.parameters():
            parameter.data = nn.init.normal(parameter.shape, 0.5, "float64") + parameter.numpy()
    return cells, [{name: p.numpy() for name, p in cell.named_parameters()} for cell in cells]


def runs_whole(layer):
    """Whether all cells ran as machine code, or kernels of a device, without calls."""
    heads = [line for line in layer.explain().splitlines() if not line.startswith(" ")]
    return all(line.endswith((": machine code", ": CUDA kernels")) for line in heads)


def _live(cut, batch, rng):
    live, given = np.ones((T, batch), bool), {}
    if cut and "lengths" in cut:
        given["lengths"] = [4, 0, 6]
        live &= np.arange(T)[:, None] < np.array(given["lengths"])
    if cut and "mask" in cut:
        given["mask"] = rng.random((T, batch)) < 0.6
        live &= given["mask"]
    return live, given


def _laid_out(states, stacked):
    """The state of several cells as the layer has it, from a list for each cell of its tensors."""
    leaves = [np.stack(leaf) for leaf in zip(*states, strict=True)] if stacked else states[0]
    return leaves[0] if len(leaves) == 1 else tuple(leaves)


def check(layer_of, cell, case, rng):
    """Outputs, last states and, along one direction, the derivative by all parameters, inputs and states."""
    both, single = case["direction"] == "both", case["cut"] == "single"
    batch = 1 if single else B
    zoneout = case["zoneout"] if case["zoneout"] != "apart" else ((0.1, 0.5) if cell.states == 2 else (0.2,))
    options = {
        "num_layers": case["num_layers"],
        "bidirectional": both,
        "reverse": case["direction"] == "reverse",
        "merge": case["merge"],
        "batch_first": case["batch_first"],
        "masked_output": case["masked_output"],
        "outputs": case["outputs"],
        "dropout": 0.4 if case["dropout"] and case["num_layers"] > 1 else 0.0,
        "variational": case["dropout"] == "variational",
        "recurrent_dropout": case["recurrent_dropout"],
        "zoneout": zoneout,
        "stateful": case["state"] == "kept",
        "compiled": case["how"] != "loop",
        "checkpoint": 2 if case["how"] == "segments" else None,
    }
    layer = layer_of(options)
    layer.train(case["training"])
    cells, parameters = _parameters(layer)
    stacked = hasattr(layer, "layers")
    sizes = tree.leaves(cells[0].state_size)
    zeros = [[np.zeros((batch, n)) for n in sizes] for _ in cells]
    states = [[rng.normal(size=(batch, n)) for n in sizes] for _ in cells]
    x, (live, given) = rng.normal(size=(T, batch, D)), _live(case["cut"], batch, rng)
    plain = straight.Layer(
        cell,
        (False, True) if both else (options["reverse"],),
        **{n: options[n] for n in ("merge", "masked_output", "outputs", "dropout", "variational")},
        recurrent_dropout=options["recurrent_dropout"],
        zoneout=zoneout if isinstance(zoneout, tuple) else (zoneout,) * 2,
        training=case["training"],
    )

    def shown(y, time_axis=True):
        """As the layer lays it out."""
        if single:
            return y[:, 0] if time_axis else y[0]
        return np.swapaxes(y, 0, 1) if case["batch_first"] and time_axis else y

    def of_layer(state):
        state = _laid_out(state, stacked)
        axis = int(stacked)
        return tree.map_leaves(lambda leaf: np.squeeze(leaf, axis) if single else leaf, state)

    if case["state"] == "kept":
        layer.reset_state(tree.map_leaves(tg.tensor, of_layer(states)))
    begun = zeros if case["state"] is None else states
    leaf = tg.tensor(shown(x), requires_grad=True)
    first = tree.map_leaves(lambda s: tg.tensor(s, requires_grad=True), of_layer(states))
    if "mask" in given and case["batch_first"]:
        given["mask"] = given["mask"].T
    tg.random.seed(5)
    y, last = layer(leaf, first if case["state"] == "given" else None, **given)
    expected, after = plain.run(parameters, x, begun, live, 5)
    assert y.shape == shown(expected, options["outputs"] == "all").shape
    _close(y, shown(expected, options["outputs"] == "all"), 1e-12)
    for a, b in zip(tree.leaves(last), tree.leaves(of_layer(after)), strict=True):
        _close(a, b, 1e-12)
    if options["compiled"]:
        assert runs_whole(layer)

    # the derivative along one direction of everything
    weights, end = rng.normal(size=expected.shape), [[rng.normal(size=s.shape) for s in a] for a in after]
    ways = [{n: rng.normal(size=v.shape) for n, v in p.items()} for p in parameters]
    dx, ds = rng.normal(size=x.shape), [[rng.normal(size=s.shape) for s in state] for state in begun]

    def loss(t):
        y, after = plain.run(
            [{n: v + t * w[n] for n, v in p.items()} for p, w in zip(parameters, ways, strict=True)],
            x + t * dx,
            [[s + t * d for s, d in zip(*pair, strict=True)] for pair in zip(begun, ds, strict=True)]
            if case["state"] == "given"
            else begun,
            live,
            5,
        )
        found = (y * weights).sum()
        return found + sum(
            (s * e).sum() for a, b in zip(after, end, strict=True) for s, e in zip(a, b, strict=True)
        )

    total = tg.sum(y * tg.tensor(shown(weights, options["outputs"] == "all")))
    for a, b in zip(tree.leaves(last), tree.leaves(of_layer(end)), strict=True):
        total = total + tg.sum(a * tg.tensor(b))
    total.backward()
    slope = _along(leaf.grad, shown(dx))
    for cell_, way in zip(cells, ways, strict=True):
        slope += sum(_along(p.grad, way[n]) for n, p in cell_.named_parameters())
    if case["state"] == "given":
        moved = zip(tree.leaves(first), tree.leaves(of_layer(ds)), strict=True)
        slope += sum(_along(leaf.grad, d) for leaf, d in moved)
    step = 1e-6
    assert slope == pytest.approx((loss(step) - loss(-step)) / (2 * step), rel=2e-6, abs=2e-6)


def _along(grad, way):
    return 0.0 if grad is None else float((grad.numpy() * way).sum())


def _close(a, b, tolerance):
    assert abs(a.numpy() - b).max(initial=0) < tolerance


class Straight(straight.Cell):
    @property
    def states(self):
        return 2 if self.kind in ("lstm", "peephole", "ln_lstm", "user", "user_h") else 1


def _name(case):
    return "-".join(str(v).replace(" ", "_") for v in case.values())


@pytest.mark.parametrize("case", CASES, ids=map(_name, CASES))
def test_the_librarys_cells(case, rng):
    cell = Straight(case["kind"], CELL_OPTIONS[case["cell"]])
    check(lambda options: made(case["kind"], case["given"], cell.options, options), cell, case, rng)


@pytest.mark.parametrize("case", CASES, ids=map(_name, CASES))
def test_a_users_cell(case, rng):
    own = case["cell"] == "plain"
    cell = Straight("user" if own else "user_h")
    check(
        lambda options: _recurrent(lambda size: UserCell(size, not own), case["given"], options),
        cell,
        case,
        rng,
    )


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (nn.RNN, RNNLayerOptions),
        (nn.LSTM, LSTMLayerOptions),
        (nn.PeepholeLSTM, PeepholeLayerOptions),
        (nn.GRU, GRULayerOptions),
        (nn.MGU, MGULayerOptions),
    ],
)
def test_help_names_all_options(kind, options):
    """Those of the cell and of the layer, and what has a place of its own."""
    taken = options.__annotations__.keys() | inspect.signature(kind.__init__).parameters.keys() - {"self"}
    assert taken - set(re.findall(r"\w+", kind.__doc__ or "")) == set()
