"""Random combinations of all options of PyTorch's recurrent layers and cells: outputs, states and every
gradient equal PyTorch's in float64."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.peers.test_layers_torch import same, variables
from tinygrad_rnn import nn, tree

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
torch.set_num_threads(1)

LAYERS, CELLS, TOLERANCE = 200, 48, 1e-9


def _layers():
    """Cases, each different from all others."""
    chance, seen = random.Random(15), set()
    kinds = itertools.cycle(["RNN", "RNN relu", "LSTM", "LSTM proj", "GRU"])
    while len(seen) < LAYERS:
        layout = chance.choice(["time first", "batch first", "single", "single, batch first"])
        case = (
            next(kinds),
            chance.randint(1, 3),  # layers
            chance.choice([True, False]),  # bias
            chance.choice([True, False]),  # both directions
            layout,
            "single" not in layout and chance.choice([True, False]),  # lengths
            chance.choice([True, False]),  # a state is given
            chance.choice([0.0, 0.4]),  # dropout, which evaluation leaves out
            (chance.randint(1, 9), chance.randint(1, 5), chance.randint(1, 6), chance.randint(2, 7)),
        )
        if case not in seen:
            seen.add(case)
            yield case


def _name(case):
    kind, layers, bias, both, layout, lengths, state, dropout, (steps, batch, features, hidden) = case
    words = [kind, f"{layers} layers", layout, f"T{steps} B{batch} D{features} H{hidden}"]
    flags = {"no bias": not bias, "both ways": both, "lengths": lengths, "state": state, "dropout": dropout}
    return "-".join([*words, *(name for name, flag in flags.items() if flag)]).replace(" ", "_")


@pytest.mark.parametrize("case", list(_layers()), ids=_name)
def test_layers(case):
    kind, layers, bias, both, layout, lengths, given, dropout, (steps, batch, features, hidden) = case
    rng = np.random.default_rng([layers, steps, batch, features, hidden])
    options = {
        "num_layers": layers,
        "bias": bias,
        "bidirectional": both,
        "batch_first": "batch first" in layout,
        "dropout": dropout if layers > 1 else 0.0,
        **({"nonlinearity": "relu"} if kind == "RNN relu" else {}),
        **({"proj_size": hidden - 1} if kind == "LSTM proj" else {}),
    }
    name = kind.split()[0]
    theirs = getattr(torch.nn, name)(features, hidden, dtype=torch.float64, **options).eval()
    ours = getattr(nn, name)(features, hidden, dtype="float64", **options).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())

    single = "single" in layout
    axes = () if single else (batch,)
    size = ours.layers[0][0].cell.state_size
    values = tree.map_leaves(lambda n: rng.normal(size=(layers * (1 + both), *axes, n)), size)
    x = rng.normal(size=(steps, *axes, features))
    x = np.swapaxes(x, 0, 1) if layout == "batch first" else x
    (x, state), (their_x, their_state) = variables((x, values))
    counts = rng.integers(1, steps + 1, batch) if lengths else None
    y, last = ours(x, state if given else None, counts)
    their_y, their_last = _called(theirs, their_x, their_state if given else None, counts, steps)
    same((y, last), (their_y, their_last), TOLERANCE)
    assert ours.explain().count("machine code") == layers * (1 + both)

    results, their_results = tree.leaves((y, last)), tree.leaves((their_y, their_last))
    weights = [rng.normal(size=r.shape) for r in results]
    sum(tg.sum(r * tg.tensor(w)) for r, w in zip(results, weights, strict=True)).backward()
    sum((r * torch.tensor(w)).sum() for r, w in zip(their_results, weights, strict=True)).backward()
    found = [x, *ours.parameters(), *(tree.leaves(state) if given else [])]
    expected = [their_x, *theirs.parameters(), *(tree.leaves(their_state) if given else [])]
    same([v.grad for v in found], [v.grad for v in expected], TOLERANCE)


def _called(layer, x, state, counts, steps):
    if counts is None:
        return layer(x, state)
    utils, first = torch.nn.utils.rnn, layer.batch_first
    packed = utils.pack_padded_sequence(x, torch.tensor(counts), batch_first=first, enforce_sorted=False)
    out, last = layer(packed, state)
    return utils.pad_packed_sequence(out, batch_first=first, total_length=steps)[0], last


def _cells():
    kinds = ["RNNCell", "RNNCell relu", "LSTMCell", "GRUCell"]
    sizes = random.Random(16)
    for kind, bias, single in itertools.product(kinds, [True, False], [True, False]):
        for _ in range(CELLS // 16):
            yield kind, bias, single, (sizes.randint(1, 5), sizes.randint(1, 7), sizes.randint(1, 8))


@pytest.mark.parametrize(("kind", "bias", "single", "sizes"), list(_cells()))
def test_cells(rng, kind, bias, single, sizes):
    batch, features, hidden = sizes
    name, options = kind.split()[0], {"nonlinearity": "relu"} if "relu" in kind else {}
    theirs = getattr(torch.nn, name)(features, hidden, bias=bias, dtype=torch.float64, **options)
    ours = getattr(nn, name)(features, hidden, bias=bias, dtype="float64", **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    axes = () if single else (batch,)
    values = tree.map_leaves(lambda n: rng.normal(size=(*axes, n)), ours.state_size)
    (x, state), (their_x, their_state) = variables((rng.normal(size=(*axes, features)), values))
    after, their_after = ours(x, state)[1], theirs(their_x, their_state)
    same(after, their_after, TOLERANCE)
    weights = [rng.normal(size=r.shape) for r in tree.leaves(after)]
    sum(tg.sum(r * tg.tensor(w)) for r, w in zip(tree.leaves(after), weights, strict=True)).backward()
    pairs = zip(tree.leaves(their_after), weights, strict=True)
    sum((r * torch.tensor(w)).sum() for r, w in pairs).backward()
    same(
        [v.grad for v in [x, *tree.leaves(state), *ours.parameters()]],
        [v.grad for v in [their_x, *tree.leaves(their_state), *theirs.parameters()]],
        TOLERANCE,
    )


ACTIVATIONS = {
    "tanh": lambda: torch.nn.Tanh(),
    "relu": lambda: torch.nn.ReLU(),
    "sigmoid": lambda: torch.nn.Sigmoid(),
    "hard_sigmoid": lambda: torch.nn.Hardsigmoid(),
    "softsign": lambda: torch.nn.Softsign(),
    "softplus": lambda: torch.nn.Softplus(),
    "linear": lambda: torch.nn.Identity(),
    "elu": lambda: torch.nn.ELU(),
    "selu": lambda: torch.nn.SELU(),
    "silu": lambda: torch.nn.SiLU(),
    "gelu": lambda: torch.nn.GELU(),
    "leaky_relu": lambda: torch.nn.LeakyReLU(),
    "relu6": lambda: torch.nn.ReLU6(),
    "mish": lambda: torch.nn.Mish(),
    "hard_swish": lambda: torch.nn.Hardswish(),
    "hard_tanh": lambda: torch.nn.Hardtanh(),
    "log_sigmoid": lambda: torch.nn.LogSigmoid(),
    "celu": lambda: torch.nn.CELU(),
    "swish": lambda: torch.nn.SiLU(),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name, rng):
    (x,), (their_x,) = variables((rng.normal(size=(40,)) * 4,))
    y, their_y = nn.activations.get(name)(x), ACTIVATIONS[name]()(their_x)
    same(y, their_y, TOLERANCE)
    tg.sum(y * y).backward()
    (their_y * their_y).sum().backward()
    # PyTorch's own slope of hardsigmoid is ⅙ of single precision
    same(x.grad, their_x.grad, 1e-7 if name == "hard_sigmoid" else TOLERANCE)
