"""Layers from PyTorch's own state dicts: outputs, states and every gradient equal PyTorch's in float64."""

from __future__ import annotations

import itertools

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, tree

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
torch.set_num_threads(1)

T, B, D, H = 7, 3, 4, 5
KINDS = {
    "RNN": {},
    "RNN relu": {"nonlinearity": "relu"},
    "LSTM": {},
    "LSTM proj": {"proj_size": 2},
    "GRU": {},
}
kinds = pytest.mark.parametrize("kind", KINDS)


def pair(kind, **options):
    """The layer of both libraries with PyTorch's values."""
    name, options = kind.split()[0], KINDS[kind] | options
    theirs = getattr(torch.nn, name)(D, H, dtype=torch.float64, **options)
    ours = getattr(nn, name)(D, H, dtype="float64", **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def variables(values):
    return (
        tree.map_leaves(lambda v: tg.tensor(v, requires_grad=True), values),
        tree.map_leaves(lambda v: torch.tensor(v, requires_grad=True), values),
    )


def host(x):
    return x.numpy() if isinstance(x, tg.Tensor) else x.detach().numpy()


def same(ours, theirs, tolerance=1e-10):
    for a, b in zip(tree.leaves(ours), tree.leaves(theirs), strict=True):
        assert host(a).shape == host(b).shape
        assert abs(host(a) - host(b)).max(initial=0) < tolerance


def compare(rng, ours, theirs, x_shape, lengths=None, batched=True):
    """Run both on the same values, then back-propagate the same weighted sum of everything that comes out."""
    size = ours.layers[0][0].cell.state_size
    lead = (ours.num_layers * (1 + ours.bidirectional), *((B,) if batched else ()))
    state = tree.map_leaves(lambda n: rng.normal(size=(*lead, n)), size)
    (x, s), (their_x, their_s) = variables((rng.normal(size=x_shape), state))
    y, after = ours(x, s, lengths)
    if lengths is None:
        their_y, their_after = theirs(their_x, their_s)
    else:
        first = theirs.batch_first
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            their_x, torch.tensor(lengths), batch_first=first, enforce_sorted=False
        )
        out, their_after = theirs(packed, their_s)
        their_y, _ = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=first, total_length=T)
    same((y, after), (their_y, their_after))
    results, their_results = list(tree.leaves((y, after))), list(tree.leaves((their_y, their_after)))
    weights = [rng.normal(size=r.shape) for r in results]
    sum(tg.sum(r * tg.tensor(w)) for r, w in zip(results, weights, strict=True)).backward()
    sum((r * torch.tensor(w)).sum() for r, w in zip(their_results, weights, strict=True)).backward()
    same([v.grad for v in tree.leaves((x, s))], [v.grad for v in tree.leaves((their_x, their_s))])
    same([p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()])


@kinds
@pytest.mark.parametrize(
    ("layers", "bias", "both"), list(itertools.product([1, 2], [True, False], [True, False]))
)
@pytest.mark.parametrize("lengths", [None, [7, 2, 4]])
def test_layers(rng, kind, layers, bias, both, lengths):
    ours, theirs = pair(kind, num_layers=layers, bias=bias, bidirectional=both)
    compare(rng, ours, theirs, (T, B, D), lengths)


@kinds
@pytest.mark.parametrize("lengths", [None, [7, 2, 4]])
def test_batch_first(rng, kind, lengths):
    ours, theirs = pair(kind, num_layers=2, batch_first=True, bidirectional=True)
    compare(rng, ours, theirs, (B, T, D), lengths)


@kinds
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_single_sequence(rng, kind, batch_first):
    ours, theirs = pair(kind, num_layers=2, bidirectional=True, batch_first=batch_first)
    compare(rng, ours, theirs, (T, D), batched=False)


@kinds
def test_zero_states_by_default(rng, kind):
    ours, theirs = pair(kind, num_layers=2)
    x = rng.normal(size=(T, B, D))
    same(ours(tg.tensor(x)), theirs(torch.tensor(x)))


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells(rng, name):
    theirs, ours = (
        getattr(torch.nn, name)(D, H, dtype=torch.float64),
        getattr(nn, name)(D, H, dtype="float64"),
    )
    ours.load_state_dict(theirs.state_dict())
    state = tree.map_leaves(lambda n: rng.normal(size=(B, n)), ours.state_size)
    (x, s), (their_x, their_s) = variables((rng.normal(size=(B, D)), state))
    same(ours(x, s)[1], theirs(their_x, their_s))


def test_linear_embedding_and_layer_norm(rng):
    for ours, theirs, x in [
        (
            nn.Linear(D, H, dtype="float64"),
            torch.nn.Linear(D, H, dtype=torch.float64),
            rng.normal(size=(T, B, D)),
        ),
        (
            nn.LayerNorm(D, dtype="float64"),
            torch.nn.LayerNorm(D, dtype=torch.float64),
            rng.normal(size=(T, B, D)),
        ),
        (
            nn.LayerNorm((B, D), dtype="float64"),
            torch.nn.LayerNorm((B, D), dtype=torch.float64),
            rng.normal(size=(T, B, D)),
        ),
        (
            nn.Embedding(6, D, dtype="float64"),
            torch.nn.Embedding(6, D, dtype=torch.float64),
            rng.integers(0, 6, (T, B)),
        ),
        (
            nn.Embedding(6, D, dtype="float64", padding_idx=-4),
            torch.nn.Embedding(6, D, padding_idx=-4, dtype=torch.float64),
            rng.integers(0, 6, (T, B)),
        ),
    ]:
        assert list(ours.state_dict()) == list(theirs.state_dict())
        ours.load_state_dict(theirs.state_dict())
        y, their_y = ours(tg.tensor(x)), theirs(torch.tensor(x))
        same(y, their_y)
        w = rng.normal(size=y.shape)
        tg.sum(y * tg.tensor(w)).backward()
        (their_y * torch.tensor(w)).sum().backward()
        same([p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()])


# -- training ------------------------------------------------------------------------------------------------

CLASSES = 11


class Model(nn.Module):
    def __init__(self, kind):
        self.embedding = nn.Embedding(CLASSES, D, dtype="float64")
        self.recurrent = getattr(nn, kind)(D, H, dtype="float64")
        self.head = nn.Linear(H, CLASSES, dtype="float64")

    def __call__(self, tokens, state):
        y, state = self.recurrent(self.embedding(tokens), state)
        return self.head(y), state


class TheirModel(torch.nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.embedding = torch.nn.Embedding(CLASSES, D, dtype=torch.float64)
        self.recurrent = getattr(torch.nn, kind)(D, H, dtype=torch.float64)
        self.head = torch.nn.Linear(H, CLASSES, dtype=torch.float64)

    def forward(self, tokens, state):
        y, state = self.recurrent(self.embedding(tokens), state)
        return self.head(y), state


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_hundred_training_steps_agree_at_every_step(rng, kind):
    """A character model with carried, detached state: the source's summed loss, Adam, and a norm that is
    clipped."""
    ours, theirs = Model(kind), TheirModel(kind)
    ours.load_state_dict(theirs.state_dict())
    optimizer, their_optimizer = (
        tg.optim.Adam(ours.parameters(), lr=0.01),
        torch.optim.Adam(theirs.parameters(), lr=0.01),
    )
    state, their_state = None, None
    for _ in range(100):
        tokens = rng.integers(0, CLASSES, (T + 1, B))
        logits, state = ours(tg.tensor(tokens[:-1]), state)
        their_logits, their_state = theirs(torch.tensor(tokens[:-1]), their_state)
        loss = tg.cross_entropy(logits, tg.tensor(tokens[1:]), reduction="sum")
        their_loss = torch.nn.functional.cross_entropy(
            their_logits.flatten(0, 1), torch.tensor(tokens[1:]).flatten(), reduction="sum"
        )
        assert abs(loss.item() - their_loss.item()) < 1e-8
        optimizer.zero_grad()
        their_optimizer.zero_grad()
        loss.backward()
        their_loss.backward()
        norm = tg.optim.clip_grad_norm(ours.parameters(), 5.0)
        assert abs(norm - torch.nn.utils.clip_grad_norm_(theirs.parameters(), 5.0).item()) < 1e-8
        optimizer.step()
        their_optimizer.step()
        same(ours.parameters(), list(theirs.parameters()), 1e-8)
        state, their_state = nn.detach(state), tree.map_leaves(lambda s: s.detach(), their_state)
