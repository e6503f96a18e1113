"""Optimisers against PyTorch, step by step, with groups and with their state saved and loaded in the
middle."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.optim.parameters import OPTIONS, parameters, random_grads, set_grads
from tinygrad_rnn import optim

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")

STEPS = 50


def theirs_of(name):
    return getattr(torch.optim, {"RMSProp": "RMSprop"}.get(name, name))


def twins_of(ps):
    return [torch.tensor(p.numpy().copy(), requires_grad=True) for p in ps]


def in_groups(ps):
    return [{"params": ps[:1], "weight_decay": 0.3}, {"params": ps[1:2], "lr": 0.07}]


def step(rng, number, ours, theirs, optimizers):
    """A step on both sides, and how far they are apart after it."""
    grads = random_grads(rng, number)[: len(ours)]
    set_grads(ours, grads)
    for p, g in zip(theirs, grads, strict=True):
        p.grad = None if g is None else torch.tensor(g)
    for optimizer in optimizers:
        optimizer.step()
    return max(abs(p.numpy() - q.detach().numpy()).max() for p, q in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_groups_over_fifty_steps_with_the_state_loaded_in_the_middle(rng, name, options):
    """A group comes later, rates are changed, and at half the way new optimisers go on from what a file would
    keep."""
    ours = parameters(rng)
    theirs = twins_of(ours)
    optimizer = getattr(optim, name)(in_groups(ours), **options)
    their_optimizer = theirs_of(name)(in_groups(theirs), **options)
    for number in range(STEPS):
        if number == 10:
            optimizer.add_group({"params": ours[2:], "lr": 0.03})
            their_optimizer.add_param_group({"params": theirs[2:], "lr": 0.03})
        if number == 15:
            optimizer.groups[1].lr = their_optimizer.param_groups[1]["lr"] = 0.01
            optimizer.groups[0].weight_decay = their_optimizer.param_groups[0]["weight_decay"] = 0.0
        if number == STEPS // 2:
            state, their_state = optimizer.state_dict(), their_optimizer.state_dict()
            buffers = {key: buffer.numpy() for key, buffer in state.pop("buffers").items()}
            state = {**json.loads(json.dumps(state)), "buffers": buffers}
            last = {"params": ours[2:]}, {"params": theirs[2:]}
            optimizer = getattr(optim, name)([*in_groups(ours), last[0]])
            their_optimizer = theirs_of(name)([*in_groups(theirs), last[1]])
            optimizer.load_state_dict(state)
            their_optimizer.load_state_dict(their_state)
        known = slice(None) if number >= 10 else slice(2)
        assert step(rng, number, ours[known], theirs[known], (optimizer, their_optimizer)) < 1e-10
    rates = [group["lr"] for group in their_optimizer.param_groups]
    assert [group.lr for group in optimizer.groups] == rates


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad", "RMSProp"])
def test_defaults_are_torchs(name):
    optimizer = getattr(optim, name)([tg.nn.Parameter(np.zeros(2))])
    their_defaults = theirs_of(name)([torch.zeros(2, requires_grad=True)]).defaults
    for option, value in optimizer.groups[0].options().items():
        assert their_defaults[option] == value, option


def test_what_torch_refuses_is_refused():
    a, b = tg.nn.Parameter(np.zeros(2)), torch.zeros(2, requires_grad=True)
    with pytest.raises(ValueError, match="more than one parameter group"):
        torch.optim.SGD([{"params": [b]}, {"params": [b]}])
    with pytest.raises(tg.ArgumentError, match="two groups"):
        optim.SGD([{"params": [a]}, {"params": [a]}])
    with pytest.raises(ValueError, match="empty parameter list"):
        torch.optim.SGD([])
    with pytest.raises(tg.ArgumentError, match="no parameters"):
        optim.SGD([])
